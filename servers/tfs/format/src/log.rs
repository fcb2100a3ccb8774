//! Log writing (FORMAT sections 3.3, 6, 9 and the remedies of 17).
//!
//! Records are appended in memory; [`Log::plan`] says which sectors to write, in stages. Between
//! stages the disk's cache is flushed. The last stage is always one sector, the one with the old
//! END_OF_LOG (or sector 0 after a rewrite), so that everything since the last flush becomes part of
//! the log at once or not at all: before it, a reader stops at the old END_OF_LOG; what the earlier
//! stages wrote lies behind that and is not looked at. New extensions are therefore not cleared
//! first. What is behind END_OF_LOG in its sector is written as zeros.
//!
//! A plan is repeated as it is if a write fails; only one may be under way.

use crate::encode::{Change, Encoder};
use crate::header::Version;
use crate::numbering::Numbering;
use crate::replay::{END_OF_LOG, Extension, LINK, RECORD, RECORD_MORE, Replayed};
use crate::space::Run;
use crate::tree::{ObjectId, ROOT, Tree};
use crate::varint::write_varint;
use crate::{EXTENSION_SECTORS, MAGIC, SECTOR, SECTOR_BYTES};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// With this many bytes or fewer left, a record begins in a new extension.
const ROLL_OVER: u64 = 74;
/// Bytes that a piece of a record leaves free: its own header, a LINK and END_OF_LOG.
const PIECE_MARGIN: u64 = 44;
/// Attributes per record when a directory is written anew.
const ATTRIBUTES_PER_RECORD: usize = 128;
/// A rewrite pays when this many settings are obsolete and at least half of all are.
const OBSOLETE_LIMIT: u64 = 4096;

/// Supplies that many new extensions for the log, or none at all.
pub type Allocate<'a> = dyn FnMut(usize) -> Option<Vec<Run>> + 'a;

/// No sectors are left for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSpace;

/// Whole sectors to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorWrite {
    /// First sector, from the start of the volume.
    pub sector: u64,
    /// A multiple of the sector size.
    pub bytes: Vec<u8>,
}

/// The writes of one flush.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Writes of one stage go in any order; the disk's cache is flushed after each stage.
    pub stages: Vec<Vec<SectorWrite>>,
    mark: Position,
    retired: usize,
}

/// A place in the log: extension in order of creation, and byte in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    extension: u64,
    offset: u64,
}

/// The unwritten part of an extension, from a sector boundary on.
#[derive(Debug)]
struct Piece {
    run: Run,
    version: Version,
    /// Byte offset of `bytes` in the extension; a multiple of the sector size.
    from: u64,
    /// Without END_OF_LOG in the last piece; with LINK and END_OF_LOG in the others.
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }

    fn room(&self) -> u64 {
        self.run.count.saturating_mul(SECTOR_BYTES).saturating_sub(self.end())
    }

    /// Sector 0 holds only the header and a LINK; version 4 is never written.
    fn is_closed(&self) -> bool {
        self.run.sector == 0 || self.version == Version::Four
    }
}

/// The log of a volume, open at its end. `pieces` is never empty.
#[derive(Debug)]
pub struct Log {
    uuid: [u8; 16],
    label: Vec<u8>,
    /// Extensions of the chain, sector 0 first, unwritten ones included.
    chain: Vec<Run>,
    pieces: VecDeque<Piece>,
    /// Number of the first piece.
    first: u64,
    written: Position,
    numbering: Numbering,
    /// Extensions that become free when the next plan is on disk.
    retired: Vec<Run>,
    entries: u64,
    obsolete: u64,
}

impl Log {
    /// Continues a replayed log.
    #[must_use]
    pub fn open(replayed: &mut Replayed) -> Self {
        let last = replayed.extensions.last().copied();
        // Replay succeeded, hence at least sector 0 is there; this stands in for the impossible.
        let last = last.unwrap_or(Extension { run: Run { sector: 0, count: 1 }, version: Version::Five });
        let bytes = core::mem::take(&mut replayed.tail.sector);
        let from = replayed.tail.offset.saturating_sub(bytes.len() as u64);
        Log {
            uuid: replayed.uuid,
            label: replayed.label.clone(),
            chain: replayed.extensions.iter().map(|e| e.run).collect(),
            written: Position { extension: 0, offset: replayed.tail.offset },
            pieces: VecDeque::from([Piece { run: last.run, version: last.version, from, bytes }]),
            first: 0,
            numbering: Numbering::from_slots(&replayed.slots),
            retired: Vec::new(),
            entries: replayed.entries,
            obsolete: replayed.obsolete,
        }
    }

    /// A log with the whole of `tree` in it, for a volume that does not exist yet.
    pub fn create(
        uuid: [u8; 16],
        label: &[u8],
        tree: &Tree,
        allocate: &mut Allocate<'_>,
    ) -> Result<Self, NoSpace> {
        let mut bytes = Vec::new();
        extension_header(&mut bytes, 1);
        bytes.extend_from_slice(&uuid);
        bytes.extend_from_slice(label);
        bytes.push(0);
        let run = Run { sector: 0, count: 1 };
        let mut log = Log {
            uuid,
            label: label.to_vec(),
            chain: Vec::from([run]),
            pieces: VecDeque::from([Piece { run, version: Version::Five, from: 0, bytes }]),
            first: 0,
            // Nothing is written: not even the header.
            written: Position { extension: 0, offset: 0 },
            numbering: Numbering::default(),
            retired: Vec::new(),
            entries: tree.ids().filter_map(|id| tree.tuple(id)).map(|t| t.len() as u64).sum(),
            obsolete: 0,
        };
        log.write_tree(tree, allocate)?;
        Ok(log)
    }

    /// Replaces the log by one that holds only the live tree (compaction). The next plan writes it
    /// beside the old one and switches with sector 0. No plan may be under way.
    pub fn rewrite(&mut self, tree: &Tree, allocate: &mut Allocate<'_>) -> Result<(), NoSpace> {
        let mut new = Log::create(self.uuid, &self.label, tree, allocate)?;
        new.first = self.first + self.pieces.len() as u64;
        new.written = Position { extension: new.first, offset: 0 };
        new.retired = core::mem::take(&mut self.retired);
        new.retired.extend(self.chain.iter().skip(1));
        *self = new;
        Ok(())
    }

    /// Whether a rewrite would shed enough.
    #[must_use]
    pub fn wants_rewrite(&self) -> bool {
        self.obsolete >= OBSOLETE_LIMIT && self.entries <= self.obsolete.saturating_mul(2)
    }

    /// The extensions, sector 0 first.
    #[must_use]
    pub fn chain(&self) -> &[Run] {
        &self.chain
    }

    /// Forgets the number of an object that is discarded.
    pub fn forget(&mut self, id: ObjectId) {
        self.numbering.forget(id);
    }

    /// Whether the log knows the object, so that it can be the target of changes.
    #[must_use]
    pub fn knows(&self, id: ObjectId) -> bool {
        self.numbering.object(id).is_some()
    }

    /// Appends one record that changes attributes of a tuple. The tree must not have them yet.
    ///
    /// Either all of it is appended or, for lack of sectors, nothing. A tuple that the log does not
    /// know is passed over: it will be written whole with the record that first refers to it.
    pub fn append(
        &mut self,
        tree: &Tree,
        target: ObjectId,
        changes: &[Change],
        allocate: &mut Allocate<'_>,
    ) -> Result<(), NoSpace> {
        let encoder = Encoder::new(tree, &mut self.numbering);
        let Some(encoded) = encoder.changes(target, changes) else { return Ok(()) };
        if self.push_record(&encoded.payload, allocate).is_err() {
            self.numbering.undo();
            return Err(NoSpace);
        }
        self.count(tree, target, changes);
        self.write_deferred(tree, encoded.deferred, allocate)
    }

    fn count(&mut self, tree: &Tree, target: ObjectId, changes: &[Change]) {
        for (name, value) in changes {
            self.entries += 1;
            if tree.attribute(target, *name).is_some() {
                self.obsolete += if value.is_none() { 2 } else { 1 };
            }
        }
    }

    fn write_tree(&mut self, tree: &Tree, allocate: &mut Allocate<'_>) -> Result<(), NoSpace> {
        let root = Encoder::new(tree, &mut self.numbering).whole(ROOT);
        self.push_record(&root.payload, allocate)?;
        self.write_deferred(tree, root.deferred, allocate)
    }

    /// Writes the entries of new directories, a limited number per record.
    fn write_deferred(
        &mut self,
        tree: &Tree,
        mut todo: Vec<ObjectId>,
        allocate: &mut Allocate<'_>,
    ) -> Result<(), NoSpace> {
        while let Some(id) = todo.pop() {
            let Some(attributes) = tree.tuple(id) else { continue };
            let all: Vec<Change> = attributes.iter().map(|(name, v)| (name, Some(v.clone()))).collect();
            for some in all.chunks(ATTRIBUTES_PER_RECORD) {
                let encoder = Encoder::new(tree, &mut self.numbering);
                let Some(encoded) = encoder.changes(id, some) else { continue };
                self.push_record(&encoded.payload, allocate)?;
                todo.extend(encoded.deferred);
            }
        }
        Ok(())
    }

    /// Appends one payload, in as many pieces and extensions as it takes; all or nothing.
    fn push_record(&mut self, payload: &[u8], allocate: &mut Allocate<'_>) -> Result<(), NoSpace> {
        let Some(last) = self.pieces.back() else { return Err(NoSpace) };
        let room = if last.is_closed() { 0 } else { last.room() };
        let layout = lay_out(room, payload.len() as u64);
        let wanted = layout.iter().filter(|piece| piece.new_extension).count();
        let mut runs = if wanted > 0 { allocate(wanted).ok_or(NoSpace)?.into_iter() } else { Vec::new().into_iter() };
        let mut rest = payload;
        for (index, piece) in layout.iter().enumerate() {
            if piece.new_extension && let Some(run) = runs.next() {
                self.roll_over(run);
            }
            let (now, later) = rest.split_at_checked(piece.bytes as usize).unwrap_or((rest, &[]));
            rest = later;
            if let Some(last) = self.pieces.back_mut() {
                if index == 0 {
                    last.bytes.push(RECORD);
                    write_varint(&mut last.bytes, payload.len() as u64);
                } else {
                    last.bytes.push(RECORD_MORE);
                }
                write_varint(&mut last.bytes, now.len() as u64);
                last.bytes.extend_from_slice(now);
            }
        }
        Ok(())
    }

    /// Links the last extension to a new one and goes on there.
    fn roll_over(&mut self, run: Run) {
        if let Some(last) = self.pieces.back_mut() {
            last.bytes.push(LINK);
            write_varint(&mut last.bytes, run.sector);
            write_varint(&mut last.bytes, run.count);
            last.bytes.push(END_OF_LOG);
        }
        let mut bytes = Vec::new();
        extension_header(&mut bytes, run.count);
        self.chain.push(run);
        self.pieces.push_back(Piece { run, version: Version::Five, from: 0, bytes });
    }

    fn end(&self) -> Position {
        let extension = (self.first + self.pieces.len() as u64).saturating_sub(1);
        Position { extension, offset: self.pieces.back().map_or(0, Piece::end) }
    }

    /// Whether anything waits to be written.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.end() != self.written
    }

    /// Bytes left in the last extension, a link and record headers kept free.
    #[must_use]
    pub fn room(&self) -> u64 {
        let last = self.pieces.back().filter(|last| !last.is_closed());
        last.map_or(0, |last| last.room().saturating_sub(ROLL_OVER))
    }

    /// Bytes that wait to be written, roughly.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// The writes that make everything appended so far durable; `None` if there is nothing to do.
    /// [`Log::written`] must follow when they are on disk.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        if !self.is_dirty() {
            return None;
        }
        let mut early = Vec::new();
        let mut switch = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut bytes = piece.bytes.clone();
            if index + 1 == self.pieces.len() {
                bytes.push(END_OF_LOG);
            }
            bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
            let mut sector = piece.run.sector + piece.from / SECTOR_BYTES;
            if index == 0 {
                let rest = bytes.split_off(SECTOR);
                switch.push(SectorWrite { sector, bytes });
                bytes = rest;
                sector += 1;
            }
            if !bytes.is_empty() {
                early.push(SectorWrite { sector, bytes });
            }
        }
        let stages = if early.is_empty() { Vec::from([switch]) } else { Vec::from([early, switch]) };
        Some(Plan { stages, mark: self.end(), retired: self.retired.len() })
    }

    /// Notes that a plan is on disk. Returns the extensions that are free now.
    pub fn written(&mut self, plan: &Plan) -> Vec<Run> {
        while self.first < plan.mark.extension && self.pieces.len() > 1 {
            self.pieces.pop_front();
            self.first += 1;
        }
        if let Some(piece) = self.pieces.front_mut() {
            let whole = (plan.mark.offset / SECTOR_BYTES * SECTOR_BYTES).saturating_sub(piece.from);
            piece.bytes.drain(..(whole as usize).min(piece.bytes.len()));
            piece.from += whole;
        }
        self.written = plan.mark;
        self.retired.drain(..plan.retired.min(self.retired.len())).collect()
    }
}

fn extension_header(bytes: &mut Vec<u8>, count: u64) {
    bytes.extend_from_slice(MAGIC);
    write_varint(bytes, 5);
    write_varint(bytes, count);
}

/// One piece of a record's payload.
struct PieceLayout {
    new_extension: bool,
    bytes: u64,
}

/// Splits a payload over the room that is left and as many new extensions as it takes.
fn lay_out(mut room: u64, mut payload: u64) -> Vec<PieceLayout> {
    let mut header = Vec::new();
    extension_header(&mut header, EXTENSION_SECTORS);
    let fresh = EXTENSION_SECTORS * SECTOR_BYTES - header.len() as u64;
    let mut pieces = Vec::new();
    loop {
        let new_extension = room <= ROLL_OVER;
        if new_extension {
            room = fresh;
        }
        let bytes = payload.min(room - PIECE_MARGIN);
        pieces.push(PieceLayout { new_extension, bytes });
        payload -= bytes;
        if payload == 0 {
            return pieces;
        }
        room = 0;
    }
}
