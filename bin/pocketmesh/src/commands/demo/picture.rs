//! From escape times to a PNG that is worth looking at.

use super::mandelbrot::ROUNDS;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

/// Colours along the gradient, from its start to its end and back to the start: night, sea, foam, sun, ember.
const STOPS: [(f64, [f64; 3]); 6] = [
    (0.0, [6.0, 8.0, 46.0]),
    (0.18, [26.0, 92.0, 178.0]),
    (0.42, [232.0, 250.0, 255.0]),
    (0.64, [255.0, 178.0, 32.0]),
    (0.86, [92.0, 18.0, 28.0]),
    (1.0, [6.0, 8.0, 46.0]),
];
/// What is inside the set.
const INSIDE: [u8; 3] = [4, 4, 12];
/// How often the gradient is run through up to the last round.
const TURNS: f64 = 2.2;

/// The colours of some escape times: three bytes a pixel, red, green, blue.
pub fn colours(times: &[u16]) -> Vec<u8> {
    let palette: Vec<_> = (0..=ROUNDS).map(colour).collect();
    times.iter().flat_map(|&time| palette[usize::from(time.min(ROUNDS))]).collect()
}

fn colour(time: u16) -> [u8; 3] {
    if time >= ROUNDS {
        return INSIDE;
    }
    // Escape times thin out as they grow: their logarithm spreads the gradient evenly over the picture.
    let depth = f64::from(time).ln_1p() / f64::from(ROUNDS).ln_1p();
    gradient((depth * TURNS).fract())
}

/// The colour at `position`, from 0 to 1.
fn gradient(position: f64) -> [u8; 3] {
    let after = STOPS.iter().position(|(stop, _)| *stop > position).unwrap_or(STOPS.len() - 1);
    let ((from, a), (to, b)) = (STOPS[after - 1], STOPS[after]);
    let linear = (position - from) / (to - from);
    let smooth = linear * linear * (3.0 - 2.0 * linear);
    std::array::from_fn(|channel| (a[channel] + (b[channel] - a[channel]) * smooth).round() as u8)
}

/// Writes a square picture.
pub fn write(path: &Path, size: u32, rgb: &[u8]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    file.flush()
}

/// Reads a picture back.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path)?)).read_info()?;
    let bytes = reader.output_buffer_size().ok_or_else(|| io::Error::other("the picture is too large"))?;
    let mut rgb = vec![0; bytes];
    reader.next_frame(&mut rgb)?;
    Ok(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.png");
        let rgb = colours(&[0, 1, 700, ROUNDS]);
        write(&path, 2, &rgb).expect("written");
        assert_eq!(read(&path).expect("read"), rgb);
    }

    #[test]
    fn every_escape_time_has_a_colour_and_those_outside_the_set_differ_from_it() {
        let rgb = colours(&(0..=u16::MAX).collect::<Vec<_>>());
        assert_eq!(rgb.len(), 3 << 16);
        assert!((0..ROUNDS).all(|time| colour(time) != INSIDE));
    }
}
