//! Chinese resident identity card numbers (GB 11643-1999).

use super::date::Date;
use super::text::{fold, is_space};

/// Weights of the first seventeen digits, 2^(17-i) mod 11 (ISO 7064, MOD 11-2).
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check character for each remainder.
const CHECKS: &[u8; 11] = b"10X98765432";

/// The number in its normal form: eighteen characters, the check character `X` in upper case. `None` when the length, the
/// province, the date of birth or the check character is wrong.
///
/// Full-width forms are folded; spaces and hyphens are dropped. A first-generation number of fifteen digits becomes its
/// eighteen-digit successor: the century is 19 and the check character is computed.
pub fn id_card(value: &str) -> Option<String> {
    let mut digits: Vec<u8> = fold(value)
        .chars()
        .filter(|&c| !is_space(c) && c != '-')
        .map(|c| u8::try_from(c).ok())
        .collect::<Option<_>>()?;
    digits.make_ascii_uppercase();
    let given = match digits.len() {
        15 => {
            digits.splice(6..6, *b"19");
            None
        }
        18 => digits.pop(),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) || !is_province(number(&digits, 0, 2)) || !is_birth(&digits) {
        return None;
    }
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(d, w)| u32::from(d - b'0') * w).sum();
    let check = CHECKS.get((sum % 11) as usize).copied()?;
    if given.is_some_and(|g| g != check) {
        return None;
    }
    digits.push(check);
    String::from_utf8(digits).ok()
}

/// The decimal number in `digits[from..from + len]`; all bytes are ASCII digits.
fn number(digits: &[u8], from: usize, len: usize) -> u32 {
    digits.iter().skip(from).take(len).fold(0, |n, d| n * 10 + u32::from(d - b'0'))
}

/// First two digits of an administrative division (GB/T 2260); 83 and 91 are for residents of Taiwan and abroad.
fn is_province(code: u32) -> bool {
    matches!(code, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91)
}

/// A date of the Gregorian calendar from 1800 on.
fn is_birth(digits: &[u8]) -> bool {
    let year = number(digits, 6, 4);
    (1800..2100).contains(&year) && Date::new(year, number(digits, 10, 2), number(digits, 12, 2)).is_some()
}
