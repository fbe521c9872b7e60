//! From escape times to a PNG that is worth looking at.

use super::mandelbrot::ROUNDS;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

/// Colours along the gradient: night far outside, then sea, foam and sun, and embers where it is deepest.
const STOPS: [(f64, [f64; 3]); 9] = [
    (0.0, [2.0, 3.0, 20.0]),
    (0.16, [8.0, 20.0, 66.0]),
    (0.28, [22.0, 84.0, 170.0]),
    (0.39, [146.0, 212.0, 244.0]),
    (0.47, [255.0, 250.0, 226.0]),
    (0.57, [255.0, 186.0, 48.0]),
    (0.71, [198.0, 66.0, 28.0]),
    (0.86, [88.0, 16.0, 52.0]),
    (1.0, [22.0, 8.0, 44.0]),
];
/// What is inside the set.
const INSIDE: [u8; 3] = [0, 0, 0];

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
    gradient(f64::from(time).ln_1p() / f64::from(ROUNDS).ln_1p())
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
