//! Foreign text on a person's terminal: nothing in it may move the cursor, change colours or reorder what is read.

use std::fmt::Write;

/// Text from elsewhere, made fit for one line: control characters are shown, not obeyed.
pub fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' | '\r' => shown.push(' '),
            _ => push(&mut shown, character),
        }
    }
    shown
}

/// The same for a stream of bytes that may stay many lines: UTF-8 cut anywhere, or no UTF-8 at all.
#[derive(Debug, Default)]
pub struct Sanitiser {
    /// The start of a character whose rest has not come yet: at most three bytes.
    pending: Vec<u8>,
}

impl Sanitiser {
    /// What may be shown of the stream so far.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut held = std::mem::take(&mut self.pending);
        held.extend_from_slice(bytes);
        let mut shown = String::with_capacity(held.len());
        let mut chunks = held.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|character| push_of_many(&mut shown, character));
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_cut_short(invalid) {
                self.pending = invalid.to_vec();
            } else if !invalid.is_empty() {
                shown.push(char::REPLACEMENT_CHARACTER);
            }
        }
        shown
    }

    /// What is left when the stream has ended.
    pub fn finish(self) -> &'static str {
        if self.pending.is_empty() { "" } else { "\u{fffd}" }
    }
}

/// Whether more bytes could still make a character of these.
fn is_cut_short(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn push_of_many(shown: &mut String, character: char) {
    match character {
        '\n' | '\t' => shown.push(character),
        _ => push(shown, character),
    }
}

fn push(shown: &mut String, character: char) {
    let reorders = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    if character.is_control() || reorders {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
    } else {
        shown.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb c");
        assert_eq!(one_line("\u{9b}31m\u{7f}\u{202e}x"), "\\u{9b}31m\\u{7f}\\u{202e}x");
        let mut sanitiser = Sanitiser::default();
        assert_eq!(sanitiser.push(b"line\r\n\tnext\x1b]0;title\x07"), "line\\u{d}\n\tnext\\u{1b}]0;title\\u{7}");
    }

    #[test]
    fn characters_cut_in_two_are_shown_whole() {
        let text = "naïve – 日本語 🙂\n";
        for cut in 0..text.len() {
            let mut sanitiser = Sanitiser::default();
            let shown = sanitiser.push(&text.as_bytes()[..cut]) + &sanitiser.push(&text.as_bytes()[cut..]);
            assert_eq!(shown + sanitiser.finish(), text, "{cut}");
        }
    }

    #[test]
    fn a_control_character_cut_in_two_is_still_caught() {
        let mut sanitiser = Sanitiser::default();
        assert_eq!(sanitiser.push(&[0xc2]) + &sanitiser.push(&[0x9b]), "\\u{9b}");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut sanitiser = Sanitiser::default();
        assert_eq!(sanitiser.push(&[b'a', 0xff, 0xfe, b'b', 0xe6]), "a\u{fffd}\u{fffd}b");
        assert_eq!(sanitiser.finish(), "\u{fffd}");
    }
}
