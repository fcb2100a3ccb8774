//! Is this a program that Skiff can run? Reads the file and answers with one sentence if not.
//!
//! The ELF rules are those of `skiff-elf`, which the guest uses as well; here they get the words and the fix
//! that a person needs. Neighbours: [`crate::libraries`] finds what a dynamic program needs besides.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use skiff_elf::{Elf, Kind};

use crate::error::{Error, Result};
use crate::options::GuestPath;

/// A program that passed every check.
#[derive(Debug)]
pub struct Program {
    /// Its absolute path on the host, symbolic links resolved.
    pub host: PathBuf,
    /// Its path in the guest, which is also `argv[0]`.
    pub guest: GuestPath,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl Program {
    /// Reads and checks the program at `path`.
    ///
    /// Errors: [`Error::Program`] for anything that is not a Linux x86_64 program, [`Error::Host`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Program> {
        let refuse = |why: &str, fix: &str| Error::Program { path: path.to_owned(), why: why.into(), fix: fix.into() };
        let about = fs::metadata(path).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => refuse("no such file", "check the path, or build the program first"),
            _ => Error::host("read", path, why),
        })?;
        if !about.is_file() {
            return Err(refuse("not a file", "give the program itself"));
        }
        let bytes = fs::read(path).map_err(|why| Error::host("read", path, why))?;
        check_elf(path, &bytes)?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refuse("its name is not UTF-8", "rename it"))?;
        let guest = GuestPath::root().join(name).map_err(|why| refuse(&why, "rename it"))?;
        let host = fs::canonicalize(path).map_err(|why| Error::host("find", path, why))?;
        Ok(Program { host, guest, bytes })
    }
}

/// Refuses what `skiff-elf` refuses, and shared libraries.
fn check_elf(path: &Path, bytes: &[u8]) -> Result<()> {
    let elf = Elf::parse(bytes).map_err(|why| refusal(path, &why))?;
    let dynamic = elf.dynamic().map_err(|why| refusal(path, &why))?;
    let is_library = elf.kind() == Kind::StaticPie
        && dynamic.is_some_and(|dynamic| !dynamic.is_program() && dynamic.soname().is_some());
    match is_library {
        true => Err(Error::Program {
            path: path.to_owned(),
            why: "a shared library, not a program".to_owned(),
            fix: "give the program that uses it; Skiff finds its libraries by itself".to_owned(),
        }),
        false => Ok(()),
    }
}

/// Splits the parser's sentence into what is wrong and what to do; supplies the latter where it is missing.
pub(crate) fn refusal(path: &Path, why: &skiff_elf::Error) -> Error {
    let text = why.to_string();
    let (why, fix) = text.split_once("; ").unwrap_or((&text, "give a Linux program built for x86_64"));
    Error::Program { path: path.to_owned(), why: why.to_owned(), fix: fix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Program::open(&path).unwrap_err().to_string()
    }

    /// The first 20 bytes of an ELF file of the given class and machine, padded to a whole header.
    fn elf_header(class: u8, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        bytes[16] = 2;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[20] = 1;
        bytes
    }

    #[test]
    fn text_and_scripts_are_refused_with_what_to_do() {
        assert!(refused("a.txt", b"hello").contains("not an ELF"));
        assert!(refused("a.sh", b"#!/bin/sh\n").contains("give its interpreter"));
    }

    #[test]
    fn programs_for_other_processors_are_refused() {
        assert!(refused("old", &elf_header(1, 3)).contains("64-bit"));
        assert!(refused("arm", &elf_header(2, 183)).contains("AArch64"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::open(Path::new("no/such/app")).unwrap_err().to_string();
        assert!(error.starts_with("no/such/app: no such file"), "{error}");
    }

    #[test]
    fn a_folder_is_not_a_program() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Program::open(folder.path()).unwrap_err().to_string().contains("not a file"));
    }
}
