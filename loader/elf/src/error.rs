//! Why a file is not a program that can be loaded; each case says what the user has in hand.

use core::fmt;

use elf::abi;

/// A file format that people mistake for a Linux program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFormat {
    /// Nothing in the file.
    Empty,
    /// Starts with `#!`.
    Script,
    /// macOS.
    MachO,
    /// Windows.
    Pe,
    /// Anything else.
    Unknown,
}

/// Why an ELF file, or a part of it, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No ELF magic number.
    NotElf(ForeignFormat),
    /// A 32-bit (or invalid) class.
    Not64Bit,
    /// Big-endian data.
    NotLittleEndian,
    /// An ELF version other than 1.
    UnknownVersion(u32),
    /// Made for another processor; the `e_machine` number.
    ForeignMachine(u16),
    /// Made for another operating system; the `EI_OSABI` number.
    ForeignSystem(u8),
    /// Neither an executable nor position-independent; the `e_type` number.
    NotExecutable(u16),
    /// The file ends at `len`, but `need` bytes are spoken of.
    Truncated {
        /// First byte offset after what is needed.
        need: u64,
        /// Length of the file in bytes.
        len: u64,
    },
    /// Only for [`crate::Headers`]: read at least `need` bytes of the file and parse again.
    NeedMore {
        /// Bytes from the start of the file.
        need: u64,
    },
    /// A table entry has a size that ELF64 does not know; the size.
    EntrySize(u16),
    /// No program headers, hence nothing to load.
    NoProgramHeaders,
    /// More program headers than Linux accepts; the number.
    TooManyProgramHeaders(u16),
    /// No `PT_LOAD` with contents.
    NothingToLoad,
    /// Program header `index` has more bytes in the file than in memory.
    FileLargerThanMemory {
        /// Position in the table.
        index: u16,
    },
    /// The address range or file range of program header `index` wraps around.
    Overflow {
        /// Position in the table.
        index: u16,
    },
    /// `p_align` of program header `index` is no power of two, or address and file offset disagree about it.
    Misaligned {
        /// Position in the table.
        index: u16,
    },
    /// Two `PT_LOAD` cover the same memory.
    Overlap {
        /// Position of the first in the table.
        first: u16,
        /// Position of the second.
        second: u16,
    },
    /// `PT_INTERP` is not one NUL-terminated path.
    BadInterpreter,
    /// `PT_DYNAMIC` or its string table does not lie in the file, or a string in it is damaged.
    BadDynamic,
    /// A symbol or string table does not lie in the file.
    BadSymbols,
    /// The flat image does not fit the buffer; bytes needed.
    FlatTooLarge(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotElf(format) => f.write_str(foreign_format(format)),
            Self::Not64Bit => f.write_str("not a 64-bit ELF file; build for x86_64"),
            Self::NotLittleEndian => f.write_str("a big-endian ELF file; build for x86_64"),
            Self::UnknownVersion(version) => write!(f, "ELF version {version}, expected 1"),
            Self::ForeignMachine(machine) => write_machine(f, machine),
            Self::ForeignSystem(system) => write!(f, "made for {}; build for Linux", system_name(system)),
            Self::NotExecutable(kind) => write!(f, "{}, not an executable", type_name(kind)),
            Self::Truncated { need, len } => write!(f, "truncated: {need} bytes are referred to, the file has {len}"),
            Self::NeedMore { need } => write!(f, "the first {need} bytes of the file are needed"),
            Self::EntrySize(size) => write!(f, "table entries of {size} bytes, not those of ELF64"),
            Self::NoProgramHeaders => f.write_str("no program headers"),
            Self::TooManyProgramHeaders(count) => write!(f, "{count} program headers, more than Linux accepts"),
            Self::NothingToLoad => f.write_str("no loadable segment"),
            Self::FileLargerThanMemory { index } => write!(f, "program header {index}: p_filesz exceeds p_memsz"),
            Self::Overflow { index } => write!(f, "program header {index}: address or offset wraps around"),
            Self::Misaligned { index } => write!(f, "program header {index}: p_align does not fit address and offset"),
            Self::Overlap { first, second } => write!(f, "program headers {first} and {second} overlap in memory"),
            Self::BadInterpreter => f.write_str("PT_INTERP is not a path"),
            Self::BadDynamic => f.write_str("damaged dynamic section"),
            Self::BadSymbols => f.write_str("damaged symbol table"),
            Self::FlatTooLarge(need) => write!(f, "flat image of {need} bytes does not fit"),
        }
    }
}

impl core::error::Error for Error {}

fn foreign_format(format: ForeignFormat) -> &'static str {
    match format {
        ForeignFormat::Empty => "an empty file, not an ELF program",
        ForeignFormat::Script => {
            "a script, not an ELF program; give its interpreter as the program and the script as an argument"
        }
        ForeignFormat::MachO => "a macOS (Mach-O) file, not an ELF program; build for x86_64 Linux",
        ForeignFormat::Pe => "a Windows (PE) file, not an ELF program; build for x86_64 Linux",
        ForeignFormat::Unknown => "not an ELF file",
    }
}

fn write_machine(f: &mut fmt::Formatter<'_>, machine: u16) -> fmt::Result {
    let name = match machine {
        abi::EM_386 => "32-bit x86",
        abi::EM_ARM => "32-bit ARM",
        abi::EM_AARCH64 => "AArch64 (ARM64)",
        abi::EM_RISCV => "RISC-V",
        abi::EM_PPC => "PowerPC",
        abi::EM_PPC64 => "64-bit PowerPC",
        abi::EM_S390 => "S/390",
        abi::EM_MIPS => "MIPS",
        abi::EM_SPARCV9 => "SPARC",
        abi::EM_LOONGARCH => "LoongArch",
        abi::EM_BPF => "BPF",
        other => return write!(f, "made for processor number {other}; build for x86_64"),
    };
    write!(f, "made for {name}; build for x86_64")
}

fn system_name(system: u8) -> &'static str {
    match system {
        abi::ELFOSABI_NETBSD => "NetBSD",
        abi::ELFOSABI_SOLARIS => "Solaris",
        abi::ELFOSABI_FREEBSD => "FreeBSD",
        abi::ELFOSABI_OPENBSD => "OpenBSD",
        _ => "another system",
    }
}

fn type_name(kind: u16) -> &'static str {
    match kind {
        abi::ET_REL => "an object file (.o)",
        abi::ET_CORE => "a core dump",
        _ => "an ELF file of unknown type",
    }
}
