//! `filecopy PATH…`: writes each file, upper-cased, to /out under its own name, and how many lines it has to standard
//! output. What a program does that has files for input and for output.

use pocketmesh_guests::arguments;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        return arguments::usage("filecopy PATH…");
    }
    arguments::finish(paths.iter().try_for_each(|path| copy(Path::new(path))))
}

fn copy(path: &Path) -> io::Result<()> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let bytes = fs::read(path).map_err(about)?;
    let place = Path::new("/out").join(path.file_name().unwrap_or(OsStr::new("file")));
    fs::write(&place, bytes.to_ascii_uppercase()).map_err(about)?;
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    arguments::print(format!("{lines}\n").as_bytes())
}
