//! Why a program could not be started: sentences for whoever made the image.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use linux_abi::Errno;

/// Why the program could not be started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Not enough memory.
    NoMemory,
    /// The filesystems could not be set up, or the working directory entered.
    Files(Errno),
    /// The program's file cannot be opened or read.
    Open(Vec<u8>, Errno),
    /// It is not a program that runs here.
    Elf(Vec<u8>, skiff_elf::Error),
    /// Its interpreter (dynamic loader) cannot be used.
    Interpreter(Vec<u8>, alloc::boxed::Box<StartError>),
    /// Its addresses do not fit the address space.
    BadAddresses(Vec<u8>),
    /// Arguments and environment are longer than a quarter of the stack.
    ArgumentsTooLong {
        /// Bytes allowed.
        limit: u64,
    },
}

impl StartError {
    pub(super) fn of_interpreter(self, path: &[u8]) -> Self {
        Self::Interpreter(path.to_vec(), alloc::boxed::Box::new(self))
    }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str("not enough memory; give the VM more with -m"),
            Self::Files(errno) => write!(f, "the filesystems or the working directory cannot be used ({errno})"),
            Self::Open(path, errno) => write!(f, "{}: cannot be opened ({errno}); is it in the image?", text(path)),
            Self::Elf(path, error) => write!(f, "{}: {error}", text(path)),
            Self::Interpreter(path, error) => {
                write!(f, "interpreter {}: {error}; add it to the image or link the program statically", text(path))
            }
            Self::BadAddresses(path) => write!(f, "{}: its segments do not fit the address space", text(path)),
            Self::ArgumentsTooLong { limit } => {
                write!(f, "arguments and environment take more than the {limit} bytes that fit the stack")
            }
        }
    }
}
