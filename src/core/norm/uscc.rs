//! Unified social credit codes of Chinese organisations (GB 32100-2015).

use super::text::{fold, is_space};

/// The characters in the order of their values; I, O, S, V and Z are left out.
const CHARACTERS: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// The code in its normal form: eighteen characters in upper case. `None` when the length, a character, the digits of the
/// administrative division or the check character is wrong.
///
/// Full-width forms are folded; spaces and hyphens are dropped. Characters that are not in use are not guessed at: O is no 0.
pub fn uscc(value: &str) -> Option<String> {
    let code: String = fold(value)
        .chars()
        .filter(|&c| !is_space(c) && c != '-')
        .map(|c| c.is_ascii().then_some(c.to_ascii_uppercase()))
        // One too many is enough to know.
        .take(19)
        .collect::<Option<_>>()?;
    let values: Vec<usize> = code.bytes().map(|b| CHARACTERS.iter().position(|&c| c == b)).collect::<Option<_>>()?;
    let (&check, body) = values.split_last().filter(|_| values.len() == 18)?;
    if !code.bytes().skip(2).take(6).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The weight of a place is 3 to its power, modulo 31.
    let (sum, _) = body.iter().fold((0, 1), |(sum, weight), v| (sum + v * weight, weight * 3 % 31));
    ((31 - sum % 31) % 31 == check).then_some(code)
}
