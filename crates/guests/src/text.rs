//! Reproducible text that looks like prose: a made-up vocabulary in which few words are common and most are rare.

/// Words there are.
const VOCABULARY: usize = 4096;
/// A line is broken at the first word that reaches this column.
const COLUMNS: usize = 76;
const ONSETS: [&str; 16] = ["b", "br", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "st", "t", "th", "v"];
const VOWELS: [&str; 8] = ["a", "e", "i", "o", "u", "ai", "ea", "ou"];
const CODAS: [&str; 8] = ["", "", "", "l", "n", "r", "s", "nd"];

/// Lines of text, at least `bytes` long and less than one line longer; each index has its own.
pub fn generate(index: u32, bytes: usize) -> String {
    let vocabulary = vocabulary();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (u64::from(index) << 20));
    let mut text = String::with_capacity(bytes + 2 * COLUMNS);
    let mut line_start = 0;
    loop {
        let words = 4 + dice.below(15);
        for position in 0..words {
            let word = dress(&vocabulary[dice.rank()], position == 0, &mut dice);
            text.push_str(&word);
            text.push_str(mark(position + 1 == words, &mut dice));
            if text.len() - line_start >= COLUMNS {
                text.push('\n');
                line_start = text.len();
                if text.len() >= bytes {
                    return text;
                }
            } else {
                text.push(' ');
            }
        }
    }
}

/// The vocabulary, most common words first: those are the shortest, as in any language.
fn vocabulary() -> Vec<String> {
    let mut dice = Dice(1);
    (0..VOCABULARY)
        .map(|rank| {
            let syllables = 1 + usize::from(rank >= 64) + usize::from(rank >= 512) + dice.below(2) as usize;
            (0..syllables).map(|_| dice.pick(&ONSETS).to_owned() + dice.pick(&VOWELS) + dice.pick(&CODAS)).collect()
        })
        .collect()
}

/// The word as it stands in a sentence: capitalised at its start, now and then a number or shouted.
fn dress(word: &str, first: bool, dice: &mut Dice) -> String {
    match dice.below(100) {
        0 => dice.below(2100).to_string(),
        1 => word.to_uppercase(),
        n if first || n < 6 => word[..1].to_uppercase() + &word[1..],
        _ => word.to_owned(),
    }
}

/// What follows a word.
fn mark(last: bool, dice: &mut Dice) -> &'static str {
    match (last, dice.below(12)) {
        (true, 0) => "!",
        (true, 1) => "?",
        (true, _) => ".",
        (false, 0) => ",",
        (false, _) => "",
    }
}

/// A small generator (SplitMix64): the same text from the same index, for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// A rank below [`VOCABULARY`], each octave as likely as any other: rank r has a share of about 1 / r (Zipf's law).
    fn rank(&mut self) -> usize {
        let octave = 1u64 << self.below(VOCABULARY.ilog2().into());
        (octave + self.below(octave)) as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_a_line_end_at_about_the_length_asked_for() {
        for bytes in [1, 1000, 65536] {
            let text = generate(7, bytes);
            assert!(text.ends_with('\n') && (bytes..bytes + 2 * COLUMNS).contains(&text.len()), "{}", text.len());
        }
    }

    #[test]
    fn each_index_has_its_own_text() {
        assert_eq!(generate(3, 500), generate(3, 500));
        assert_ne!(generate(3, 500), generate(4, 500));
    }
}
