//! An independent look at an image: `tfs.py`, which shares no code with ours, where it lies beside this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::skipped;
use crate::workspace;

/// The checker, if it is there.
fn checker() -> Option<PathBuf> {
    Some(workspace().join("../shared/tfs/tfs.py")).filter(|path| path.is_file())
}

/// Runs a command of the checker on an image and returns what it prints; `None` where there is no checker.
///
/// # Panics
/// When the checker finds fault; the message has its words.
pub fn independent(command: &str, image: &Path, extra: &[&str]) -> Option<Vec<u8>> {
    let Some(checker) = checker() else {
        skipped("images are not looked at by tfs.py, which is not beside this repository");
        return None;
    };
    let output = Command::new("python3").arg(checker).arg(command).arg(image).args(extra).output();
    let output = output.unwrap_or_else(|why| panic!("python3 did not start ({why}); try: make setup"));
    let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "tfs.py {command} {}:\n{words}", image.display());
    Some(output.stdout)
}

/// Fails the test unless the root volume of the image is sound.
///
/// # Panics
/// When it is not.
pub fn expect_sound(image: &Path) {
    independent("check", image, &[]);
}

/// A file of the root volume as the checker reads it; `None` where there is no checker.
pub fn file(image: &Path, path: &str) -> Option<Vec<u8>> {
    independent("cat", image, &[path])
}
