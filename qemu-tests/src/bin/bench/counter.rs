//! Counting guest instructions: a QEMU plugin keeps a counter in a file, and a [`Sampler`] reads it whenever the
//! program prints a line.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use qemu_tests::workspace;

/// Compiles the plugin into `folder`. Errors: gcc's words.
pub fn build_plugin(folder: &Path) -> io::Result<PathBuf> {
    let plugin = folder.join("insncount.so");
    let source = workspace().join("qemu-tests/bench/insncount.c");
    let status = Command::new("gcc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&plugin).arg(source).status()?;
    match status.success() {
        true => Ok(plugin),
        false => Err(io::Error::other("gcc could not build the instruction counter")),
    }
}

/// A line of the program, and what had happened when it arrived.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The line without its end.
    pub line: String,
    /// When it arrived.
    pub at: Instant,
    /// Guest instructions executed so far; 0 when they are not counted.
    pub instructions: u64,
}

/// Takes the program's standard output apart into samples; clones share them.
#[derive(Clone)]
pub struct Sampler {
    count_file: PathBuf,
    state: Arc<Mutex<(Vec<u8>, Vec<Sample>)>>,
}

impl Sampler {
    /// Samples the counter in `count_file`, which need not exist.
    pub fn new(count_file: &Path) -> Sampler {
        Sampler { count_file: count_file.to_owned(), state: Arc::default() }
    }

    /// The samples so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.state.lock().map(|state| state.1.clone()).unwrap_or_default()
    }

    /// The counter, the first eight bytes of its file.
    fn instructions(&self) -> u64 {
        let mut bytes = [0; 8];
        let read = File::open(&self.count_file).and_then(|mut file| file.read_exact(&mut bytes));
        read.map(|()| u64::from_le_bytes(bytes)).unwrap_or(0)
    }
}

impl Write for Sampler {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (at, instructions) = (Instant::now(), self.instructions());
        let mut state = self.state.lock().map_err(|_| io::ErrorKind::BrokenPipe)?;
        let (pending, samples) = &mut *state;
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            samples.push(Sample { line, at, instructions });
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
