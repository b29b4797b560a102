//! Text: one form for strings that look the same.

use unicode_normalization::UnicodeNormalization;

/// White space: Unicode's `White_Space`, and the blank Braille pattern, which is drawn as a space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

/// Characters that draw nothing: controls and Unicode's `Default_Ignorable_Code_Point` (zero-width spaces and joiners, byte
/// order mark, soft hyphen, direction marks, variation selectors, Hangul fillers, tags).
pub(super) fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() && !is_space(c);
    }
    matches!(c,
        '\u{80}'..='\u{84}' | '\u{86}'..='\u{9F}' | '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}'
        | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Compatibility composition (NFKC: full-width to ASCII, half-width katakana to full) of what is visible.
///
/// Invisible characters go before composition, because one between a letter and its accent would keep them apart.
pub(super) fn fold(value: &str) -> String {
    if value.is_ascii() {
        return value.chars().filter(|&c| !is_invisible(c)).collect();
    }
    value.chars().filter(|&c| !is_invisible(c)).nfkc().collect()
}

/// Trims spaces and invisible characters from both ends.
pub(super) fn trim(value: &str) -> &str {
    value.trim_matches(|c| is_space(c) || is_invisible(c))
}

/// The text in its normal form: NFKC (which folds full-width and half-width forms), control and zero-width characters
/// removed, every run of Unicode white space one space, trimmed. Case is kept. `None` when nothing is left.
pub fn text(value: &str) -> Option<String> {
    let folded = fold(value);
    let mut out = String::with_capacity(folded.len());
    let mut gap = false;
    for c in folded.chars() {
        if is_space(c) {
            gap = !out.is_empty();
            continue;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        out.push(c);
    }
    (!out.is_empty()).then_some(out)
}

/// [`text`] in lower case: for ids that systems write in either case, such as UUIDs and document numbers.
pub fn lower(value: &str) -> Option<String> {
    text(value).map(lower_case)
}

/// Lower case that stays in NFKC: a few capitals have lower-case forms that compose again.
pub(super) fn lower_case(mut value: String) -> String {
    if value.is_ascii() {
        value.make_ascii_lowercase();
        return value;
    }
    value.to_lowercase().nfkc().collect()
}

/// An opaque code as it is, trimmed of white space and invisible characters; `None` when nothing is left. For ids whose case
/// and inner characters carry meaning, such as cookies and OpenIDs.
pub fn code(value: &str) -> Option<String> {
    let trimmed = trim(value);
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}
