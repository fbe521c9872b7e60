//! Counting words, and adding up such counts: the map and the reduce of the classic example.
//!
//! A listing is what `uniq -c` prints: one line per word, its count right-aligned in seven columns, a space, the word.

use std::collections::BTreeMap;
use std::io::Write;

/// How often each word occurs, words in bytewise order.
pub type Counts = BTreeMap<Vec<u8>, u64>;

/// A line of a listing that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
}

impl std::error::Error for BadLine {}

impl std::fmt::Display for BadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is not a count, a space and a word", self.number)
    }
}

/// Counts the words of a text: maximal runs of bytes that are not ASCII whitespace.
pub fn count(text: &[u8]) -> Counts {
    let mut counts = Counts::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        add(&mut counts, word, 1);
    }
    counts
}

/// Adds up listings, joined one after the other.
pub fn merge(listings: &[u8]) -> Result<Counts, BadLine> {
    let mut counts = Counts::new();
    for (index, line) in listings.split(|&byte| byte == b'\n').enumerate() {
        if !line.is_empty() {
            let (count, word) = parse(line).ok_or(BadLine { number: index + 1 })?;
            add(&mut counts, word, count);
        }
    }
    Ok(counts)
}

/// Writes a listing.
pub fn list(counts: &Counts) -> Vec<u8> {
    let mut listing = Vec::new();
    for (word, count) in counts {
        write!(listing, "{count:>7} ").expect("a vector takes all that is written");
        listing.extend_from_slice(word);
        listing.push(b'\n');
    }
    listing
}

/// As the C library's `isspace`, which unlike Rust's counts the vertical tab.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn add(counts: &mut Counts, word: &[u8], count: u64) {
    match counts.get_mut(word) {
        Some(sum) => *sum = sum.saturating_add(count),
        None => drop(counts.insert(word.to_vec(), count)),
    }
}

fn parse(line: &[u8]) -> Option<(u64, &[u8])> {
    let line = line.trim_ascii_start();
    let space = line.iter().position(|&byte| byte == b' ')?;
    let count = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
    let word = &line[space + 1..];
    (!word.is_empty() && !word.iter().any(is_space)).then_some((count, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_in_bytewise_order() {
        let listing = list(&count(b"b a\x0bB\tb  \n\xff a.\n"));
        assert_eq!(listing, b"      1 B\n      1 a\n      1 a.\n      2 b\n      1 \xff\n");
    }

    #[test]
    fn merging_the_counts_of_parts_counts_the_whole() {
        let (left, right) = (b"the cat the dog\n".as_slice(), b"a cat 10000000 the\n".as_slice());
        let parts = [list(&count(left)), list(&count(right))].concat();
        assert_eq!(merge(&parts), Ok(count(&[left, right].concat())));
    }

    #[test]
    fn what_is_no_listing_is_refused_by_line() {
        assert_eq!(merge(b"      1 a\nno count\n"), Err(BadLine { number: 2 }));
    }
}
