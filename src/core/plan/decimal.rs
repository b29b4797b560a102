//! Exact comparison of decimal text with scaled integers: which stored integers satisfy `value op constant`.

use crate::expr::ast::Comparison;
use std::cmp::Ordering;

/// A closed interval of scaled integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Lowest value in it.
    pub low: i128,
    /// Highest value in it.
    pub high: i128,
}

impl Range {
    /// The part of the interval that 64-bit values can reach.
    pub fn clamp_i64(&self) -> Option<(i64, i64)> {
        let low = self.low.max(i128::from(i64::MIN));
        let high = self.high.min(i128::from(i64::MAX));
        (low <= high).then_some((low as i64, high as i64))
    }
}

/// A decimal as (negative, digits, exponent): value = ±digits × 10^exponent, digits without leading or trailing zeros.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut digits: Vec<u8> = Vec::with_capacity(whole.len() + fraction.len());
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        digits.push(byte - b'0');
    }
    let mut exponent = i64::from(exponent) - fraction.len() as i64;
    while digits.last() == Some(&0) {
        digits.pop();
        exponent += 1;
    }
    let zeros = digits.iter().take_while(|d| **d == 0).count();
    digits.drain(..zeros);
    if digits.is_empty() {
        return Some(Decimal { negative: false, digits, exponent: 0 });
    }
    Some(Decimal { negative, digits, exponent })
}

/// The largest power of ten that matters: beyond it every i128 that a scaled 64-bit sum can reach is smaller.
const FAR: i128 = i128::MAX / 4;

/// floor(value × 10^scale) and whether it is exact; clamped to ±[`FAR`] when out of reach.
fn scaled_floor(value: &Decimal, scale: u32) -> (i128, bool) {
    let mut magnitude: i128 = 0;
    let exponent = value.exponent + i64::from(scale);
    let total = value.digits.len() as i64 + exponent;
    if total > 36 {
        return (if value.negative { -FAR } else { FAR }, true);
    }
    let mut exact = true;
    for (index, digit) in value.digits.iter().enumerate() {
        // Digits right of the unit only decide whether the value is exact.
        if (index as i64) < total {
            magnitude = magnitude * 10 + i128::from(*digit);
        } else if *digit != 0 {
            exact = false;
        }
    }
    let missing = total - value.digits.len() as i64;
    for _ in 0..missing.max(0) {
        magnitude *= 10;
    }
    let mut floor = if value.negative { -magnitude } else { magnitude };
    if value.negative && !exact {
        floor -= 1;
    }
    (floor, exact)
}

/// The scaled integers `x` for which `x / 10^scale op constant` holds, as disjoint closed intervals; `None` when the text is no finite
/// number.
pub fn ranges(op: Comparison, constant: &str, scale: u32) -> Option<Vec<Range>> {
    let value = parse(constant)?;
    let (floor, exact) = scaled_floor(&value, scale);
    let below = Range { low: i128::MIN, high: if exact { floor - 1 } else { floor } };
    let above = Range { low: floor + 1, high: i128::MAX };
    Some(match op {
        Comparison::Eq if exact => vec![Range { low: floor, high: floor }],
        Comparison::Eq => vec![],
        Comparison::NotEq if exact => vec![below, above],
        Comparison::NotEq => vec![Range { low: i128::MIN, high: i128::MAX }],
        Comparison::Lt => vec![below],
        Comparison::LtEq => vec![Range { low: i128::MIN, high: floor }],
        Comparison::Gt => vec![above],
        Comparison::GtEq => vec![Range { low: if exact { floor } else { floor + 1 }, high: i128::MAX }],
    })
}

/// Order of two decimal texts; `None` when either is no finite number.
pub(super) fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (l, r) = (parse(left)?, parse(right)?);
    let sign = |d: &Decimal| match (d.digits.is_empty(), d.negative) {
        (true, _) => 0,
        (false, true) => -1,
        (false, false) => 1,
    };
    if sign(&l) != sign(&r) || sign(&l) == 0 {
        return Some(sign(&l).cmp(&sign(&r)));
    }
    let magnitude = (l.digits.len() as i64 + l.exponent)
        .cmp(&(r.digits.len() as i64 + r.exponent))
        // Without leading or trailing zeros, digits of equal magnitude compare as text does.
        .then_with(|| l.digits.cmp(&r.digits));
    Some(if l.negative { magnitude.reverse() } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oracle: exact rational comparison in integers.
    fn holds(op: Comparison, stored: i128, scale: u32, numerator: i128, digits: u32) -> bool {
        let order = (stored * 10i128.pow(digits)).cmp(&(numerator * 10i128.pow(scale)));
        super::super::holds(op, order)
    }

    #[test]
    fn every_operator_agrees_with_exact_arithmetic() {
        use Comparison::*;
        for op in [Eq, NotEq, Lt, LtEq, Gt, GtEq] {
            for scale in 0..3u32 {
                for numerator in -1205i128..=1205 {
                    for digits in [0u32, 1, 3] {
                        let text = if digits == 0 {
                            numerator.to_string()
                        } else {
                            let power = 10i128.pow(digits);
                            format!(
                                "{}{}.{:0width$}",
                                if numerator < 0 { "-" } else { "" },
                                numerator.abs() / power,
                                numerator.abs() % power,
                                width = digits as usize
                            )
                        };
                        let got = ranges(op, &text, scale).unwrap();
                        let near = numerator * 10i128.pow(scale) / 10i128.pow(digits);
                        for stored in near - 2..=near + 2 {
                            let inside = got.iter().any(|r| r.low <= stored && stored <= r.high);
                            assert_eq!(
                                inside,
                                holds(op, stored, scale, numerator, digits),
                                "{stored}/10^{scale} {op:?} {text}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn far_and_odd_constants() {
        assert_eq!(ranges(Comparison::Gt, "1e60", 2).unwrap()[0].clamp_i64(), None);
        assert_eq!(ranges(Comparison::Lt, "1e60", 2).unwrap()[0].clamp_i64(), Some((i64::MIN, i64::MAX)));
        assert_eq!(ranges(Comparison::Gt, "-1e60", 2).unwrap()[0].clamp_i64(), Some((i64::MIN, i64::MAX)));
        assert_eq!(ranges(Comparison::GtEq, "1e-60", 2).unwrap()[0].low, 1);
        assert_eq!(ranges(Comparison::Eq, "1.50e1", 1).unwrap(), vec![Range { low: 150, high: 150 }]);
        assert_eq!(ranges(Comparison::Eq, "NaN", 1), None);
        assert_eq!(ranges(Comparison::Eq, "", 1), None);
    }

    #[test]
    fn literals_are_ordered() {
        let sorted = ["-1e9", "-12.5", "-12.49", "-0.001", "0", "0.0010", "0.002", "1", "9.99", "10", "1e3"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), Some(i.cmp(&j)), "{a} {b}");
            }
        }
        assert_eq!(compare("1.0", "1"), Some(Ordering::Equal));
        assert_eq!(compare("-0", "0.00"), Some(Ordering::Equal));
    }
}
