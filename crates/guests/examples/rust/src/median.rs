//! The median of each sample's neighbourhood: single wrong samples vanish, edges stay.

use crate::picture::Picture;
use std::ops::Range;

/// Samples to each side that count as neighbours.
const REACH: usize = 2;
const SIDE: usize = 2 * REACH + 1;

/// The rows of `picture` without their noise. Neighbours beyond the picture's edge are those on the edge.
pub fn rows(picture: &Picture<'_>, rows: Range<usize>) -> Picture<'static> {
    let mut samples = Vec::with_capacity(rows.len() * picture.width * picture.channels);
    for y in rows.clone() {
        for x in 0..picture.width {
            samples.extend((0..picture.channels).map(|channel| median(picture, x, y, channel)));
        }
    }
    Picture { width: picture.width, height: rows.len(), channels: picture.channels, samples: samples.into() }
}

fn median(picture: &Picture<'_>, x: usize, y: usize, channel: usize) -> u8 {
    let near = |at: usize, offset: usize, len: usize| (at + offset).saturating_sub(REACH).min(len - 1);
    let mut samples = [0; SIDE * SIDE];
    for (at, sample) in samples.iter_mut().enumerate() {
        let (row, column) = (near(y, at / SIDE, picture.height), near(x, at % SIDE, picture.width));
        *sample = picture.samples[(row * picture.width + column) * picture.channels + channel];
    }
    *samples.select_nth_unstable(SIDE * SIDE / 2).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_wrong_sample_vanishes() {
        let mut samples = vec![100; 81];
        samples[40] = 255;
        let picture = Picture { width: 9, height: 9, channels: 1, samples: samples.into() };
        assert_eq!(*rows(&picture, 0..9).samples, [100; 81]);
    }

    #[test]
    fn an_edge_stays_where_it_is() {
        let row = [10, 10, 10, 200, 200, 200];
        let picture = Picture { width: 6, height: 4, channels: 1, samples: row.repeat(4).into() };
        assert_eq!(*rows(&picture, 1..3).samples, row.repeat(2));
    }
}
