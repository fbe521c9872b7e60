//! Takes the noise out of one strip of a picture: an example of a program for the mesh.
//!
//! `denoise PICTURE STRIP STRIPS` reads a picture of 8-bit samples (PGM or PPM, as most tools write on request), replaces
//! each sample of strip number STRIP by the median of its neighbourhood, writes the strip to `/out/strip-STRIP.ppm` (or
//! `.pgm`) and one line about it to standard output. As a job of eight tasks, each with a strip of its own:
//!
//! `pocketmesh run denoise.wasm -i photo.ppm:photo.ppm --range 0..8 -o result -- /in/photo.ppm '{index}' 8`

mod median;
mod picture;

use picture::Picture;
use std::process::ExitCode;

/// What went wrong, and the exit code that says so: an outcome like any other, on which all peers agree.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn usage(message: &str) -> Self {
        Self { code: 2, message: format!("{message}\nusage: denoise PICTURE STRIP STRIPS") }
    }

    fn with(message: String) -> Self {
        Self { code: 1, message }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("denoise: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(args: &[String]) -> Result<String, Failure> {
    let [path, strip, strips] = args else { return Err(Failure::usage("three arguments are needed")) };
    let number = |text: &String| text.parse::<usize>().map_err(|_| Failure::usage(&format!("{text} is no number")));
    let (strip, strips) = (number(strip)?, number(strips)?);
    if strip >= strips {
        return Err(Failure::usage("strips are numbered from 0 to STRIPS - 1"));
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::with(format!("{path}: {error}")))?;
    let picture = Picture::parse(&bytes).map_err(|what| Failure::with(format!("{path}: {what}")))?;
    let rows = picture.height * strip / strips..picture.height * (strip + 1) / strips;
    let quiet = median::rows(&picture, rows.clone());
    let changed = quiet.samples.iter().zip(picture.row_samples(rows.clone())).filter(|(new, old)| new != old).count();
    let out = format!("/out/strip-{strip:04}.{}", quiet.extension());
    std::fs::write(&out, quiet.to_bytes()).map_err(|error| Failure::with(format!("{out}: {error}")))?;
    Ok(format!("strip {strip} of {strips}: rows {} to {}, {changed} samples changed", rows.start, rows.end))
}
