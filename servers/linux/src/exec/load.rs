//! Mapping an ELF file: the program itself, or its interpreter.

use super::StartError;
use crate::mm::{Backing, MappedFile, PAGE, Place, Wish};
use crate::process::Process;
use crate::user::USER_END;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::memory::Prot;
use skiff_elf::{Headers, Segment, SegmentKind};

/// Where a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// At the addresses that it was linked for.
    AsLinked,
    /// With its lowest page near this address.
    At(u64),
    /// Among the other mappings.
    Anywhere,
}

/// What was found out about a file; owns no borrowed bytes.
pub(super) struct Image {
    path: Vec<u8>,
    file: Arc<dyn MappedFile>,
    loads: Vec<Segment>,
    span: core::ops::Range<u64>,
    align: u64,
    entry: u64,
    table_vaddr: Option<u64>,
    /// Path of the interpreter.
    pub interpreter: Option<Vec<u8>>,
    /// A bias may be added to its addresses.
    pub position_independent: bool,
    /// The stack must be executable.
    pub wants_executable_stack: bool,
    /// `AT_PHNUM`.
    pub table_count: u16,
    /// `AT_PHENT`.
    pub table_entry_bytes: u16,
}

/// Where a file came to lie.
pub(super) struct Loaded {
    /// Added to every linked address.
    pub bias: u64,
    /// First instruction.
    pub entry: u64,
    /// Program header table (`AT_PHDR`); 0 if it is not loaded.
    pub table: u64,
    /// First page behind the highest segment.
    pub end: u64,
}

/// Longest path of an interpreter, with its NUL.
const INTERPRETER_MAX: u64 = 4096;
/// Most bytes that are read for headers; far above what linkers make.
const HEAD_MAX: u64 = 1 << 20;

/// Opens and checks the program at `path`.
pub(super) fn open(process: &Process, path: &[u8]) -> Result<Image, StartError> {
    let cannot_open = |errno| StartError::Open(path.to_vec(), errno);
    let file = process.fs.program(path).map_err(cannot_open)?;
    let size = file.size();
    let mut head_len = PAGE.min(size);
    loop {
        let head = read(&*file, 0, head_len).map_err(cannot_open)?;
        match Headers::parse(&head, size) {
            Ok(headers) => return image(path, file, &headers),
            Err(skiff_elf::Error::NeedMore { need }) if need > head_len && need <= HEAD_MAX.min(size) => {
                head_len = need
            }
            Err(error) => return Err(StartError::Elf(path.to_vec(), error)),
        }
    }
}

fn image(path: &[u8], file: Arc<dyn MappedFile>, headers: &Headers) -> Result<Image, StartError> {
    let refused = |error| StartError::Elf(path.to_vec(), error);
    let interpreter = match headers.segment(SegmentKind::Interpreter) {
        None => None,
        Some(segment) => {
            let range = segment.file_range();
            let len = range.end - range.start;
            if !(2..=INTERPRETER_MAX).contains(&len) {
                return Err(refused(skiff_elf::Error::BadInterpreter));
            }
            let mut name = read(&*file, range.start, len).map_err(|errno| StartError::Open(path.to_vec(), errno))?;
            let end = name.iter().position(|&byte| byte == 0).ok_or(refused(skiff_elf::Error::BadInterpreter))?;
            name.truncate(end);
            Some(name)
        }
    };
    Ok(Image {
        path: path.to_vec(),
        loads: headers.loads().collect(),
        span: headers.vaddr_span(),
        align: headers.load_align().max(PAGE),
        entry: headers.entry(),
        table_vaddr: headers.table_vaddr(),
        interpreter,
        position_independent: headers.is_position_independent(),
        wants_executable_stack: headers.wants_executable_stack(),
        table_count: headers.count(),
        table_entry_bytes: headers.entry_bytes(),
        file,
    })
}

/// Reads a part of a file through its pages.
fn read(file: &dyn MappedFile, offset: u64, len: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| Errno::EFBIG)?];
    let mut done = 0;
    while done < bytes.len() {
        let at = offset + done as u64;
        let in_page = (at % PAGE) as usize;
        let step = (PAGE as usize - in_page).min(bytes.len() - done);
        let frame = file.page(at / PAGE, false)?;
        let out = bytes.get_mut(done..done + step).ok_or(Errno::EIO)?;
        frame.read(in_page, out).map_err(|_| Errno::EIO)?;
        done += step;
    }
    Ok(bytes)
}

fn page_down(addr: u64) -> u64 {
    addr & !(PAGE - 1)
}

fn page_up(addr: u64) -> u64 {
    page_down(addr.saturating_add(PAGE - 1))
}

impl Image {
    /// Maps all segments.
    pub(super) fn map(&self, process: &Process, base: Base) -> Result<Loaded, StartError> {
        let bias = self.bias(process, base)?;
        for load in &self.loads {
            self.map_segment(process, load, bias)?;
        }
        Ok(Loaded {
            bias,
            entry: self.entry.wrapping_add(bias),
            table: self.table_vaddr.map_or(0, |at| at.wrapping_add(bias)),
            end: page_up(self.span.end.wrapping_add(bias)),
        })
    }

    fn bad_addresses(&self) -> StartError {
        StartError::BadAddresses(self.path.clone())
    }

    /// Chooses the bias so that alignment is kept and the whole span is free.
    fn bias(&self, process: &Process, base: Base) -> Result<u64, StartError> {
        let low = page_down(self.span.start);
        let len = page_up(self.span.end).checked_sub(low).ok_or(self.bad_addresses())?;
        let wanted = match base {
            Base::AsLinked => low,
            Base::At(at) => at / self.align * self.align + low % self.align,
            Base::Anywhere => {
                let room = len.checked_add(self.align).ok_or(self.bad_addresses())?;
                let free = process.mm.lock().choose_free(room).map_err(|_| StartError::NoMemory)?;
                free.next_multiple_of(self.align) + low % self.align
            }
        };
        if wanted.checked_add(len).is_none_or(|end| end > USER_END) || wanted < crate::mm::MAP_MIN {
            return Err(self.bad_addresses());
        }
        Ok(wanted.wrapping_sub(low))
    }

    fn map_segment(&self, process: &Process, load: &Segment, bias: u64) -> Result<(), StartError> {
        let prot = protection(load);
        let start = load.vaddr.wrapping_add(bias);
        let file_end = start.checked_add(load.file_bytes).ok_or(self.bad_addresses())?;
        let end = start.checked_add(load.mem_bytes).filter(|&end| end <= USER_END).ok_or(self.bad_addresses())?;
        let first = page_down(start);
        let file_pages_end = if load.file_bytes == 0 { first } else { page_up(file_end) };
        if file_pages_end > first {
            let backing = Backing::File { file: self.file.clone(), first: load.offset / PAGE };
            self.add(process, first, file_pages_end, prot, backing)?;
        }
        if page_up(end) > file_pages_end {
            self.add(process, file_pages_end, page_up(end), prot, Backing::Anonymous)?;
        }
        // Behind the file's bytes the last page holds whatever follows in the file.
        if load.file_bytes > 0 && load.mem_bytes > load.file_bytes && load.writable {
            process.mm.zero_to_page_end(file_end).map_err(|errno| StartError::Open(self.path.clone(), errno))?;
        }
        Ok(())
    }

    fn add(&self, process: &Process, start: u64, end: u64, prot: Prot, backing: Backing) -> Result<(), StartError> {
        let wish = Wish {
            place: Place::Fixed(start),
            len: end - start,
            prot,
            shared: false,
            may_write: true,
            grows_down: false,
            locked: false,
            no_reserve: false,
            backing,
        };
        process.mm.map(wish).map(drop).map_err(|_| StartError::NoMemory)
    }
}

fn protection(load: &Segment) -> Prot {
    let mut prot = Prot::empty();
    prot.set(Prot::READ, load.readable);
    prot.set(Prot::WRITE, load.writable);
    prot.set(Prot::EXEC, load.executable);
    prot
}
