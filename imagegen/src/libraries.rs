//! Finds a dynamic program's interpreter and libraries, as `ld.so` would, without running anything.
//!
//! [`find`] walks `DT_NEEDED` breadth first from the program. Every object has two places: where it lies on this
//! computer and where the guest will look for it; they differ only below `$ORIGIN` of the program, which moves to the
//! root of the guest. The image has no `ld.so.cache`, so a library from a folder that only `/etc/ld.so.conf` names
//! also gets a link in the interpreter's own folder, where every loader looks.
//!
//! Neighbours: [`crate::library_paths`] knows the folders, [`crate::rootfs`] puts the result into the image.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use skiff_elf::{Elf, Error as ElfError};

use crate::error::{Error, Result};
use crate::library_paths::{Loader, expand, on_host};
use crate::options::GuestPath;
use crate::program::{Program, refusal};

/// A file that the program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Where it lies on this computer, symbolic links resolved.
    pub host: PathBuf,
    /// Where the guest looks for it; the same file may be wanted at several paths.
    pub guest: GuestPath,
}

/// A folder as seen from both sides.
#[derive(Clone, Debug)]
struct Folder {
    host: PathBuf,
    guest: String,
}

/// An object on the way: the program or a library.
struct Object {
    host: PathBuf,
    needed: Vec<String>,
    rpath: Vec<Folder>,
    runpath: Vec<Folder>,
    /// Who asked for it first; `DT_RPATH` is inherited along this chain.
    parent: Option<usize>,
}

/// What a search found.
struct Found {
    host: PathBuf,
    guest: String,
    bytes: Vec<u8>,
    /// Found through a run path or by its full path, so that the guest finds it there too.
    explicit: bool,
}

/// Everything that `program` needs besides itself; empty for static programs.
///
/// `root` is where `/` lies; only tests give another one than `/`.
///
/// Errors: [`Error::MissingLibrary`], [`Error::Program`] for a damaged library.
pub fn find(program: &Program, root: &Path) -> Result<Vec<Library>> {
    let elf = Elf::parse(&program.bytes).map_err(|why| refusal(&program.host, &why))?;
    let interpreter = elf.interpreter().map_err(|why| refusal(&program.host, &why))?;
    let Some(interpreter) = interpreter else { return Ok(Vec::new()) };
    let interpreter = text(&program.host, interpreter)?;
    Search::start(program, &interpreter, root)?.run()
}

/// State of one walk.
struct Search<'a> {
    root: &'a Path,
    loader: Loader,
    /// Folder of the interpreter on this computer, links resolved.
    loader_folder: PathBuf,
    system: Vec<Folder>,
    objects: Vec<Object>,
    /// Names that are loaded already: as asked for, and `DT_SONAME`.
    loaded: HashSet<String>,
    found: Vec<Library>,
}

impl<'a> Search<'a> {
    fn start(program: &Program, interpreter: &str, root: &'a Path) -> Result<Search<'a>> {
        let loader = Loader::of(interpreter);
        let missing = || Error::MissingLibrary {
            name: interpreter.to_owned(),
            needed_by: program.host.clone(),
            searched: Vec::new(),
        };
        let host = fs::canonicalize(on_host(root, Path::new(interpreter))).map_err(|_| missing())?;
        let bytes = fs::read(&host).map_err(|why| Error::host("read", &host, why))?;
        let soname = Elf::parse(&bytes).map_err(|why| refusal(&host, &why)).and_then(|elf| soname(&host, &elf))?;
        let system = loader.folders(root).into_iter().filter_map(|folder| {
            Some(Folder { host: on_host(root, &folder), guest: folder.into_os_string().into_string().ok()? })
        });
        let mut search = Search {
            root,
            loader,
            loader_folder: host.parent().unwrap_or(Path::new("/")).to_owned(),
            system: system.collect(),
            objects: Vec::new(),
            loaded: soname.into_iter().chain(file_name(interpreter)).collect(),
            found: Vec::new(),
        };
        search.record(host, interpreter)?;
        search.push_object(&program.host, &program.bytes, "/", None)?;
        Ok(search)
    }

    /// Walks until nothing new is asked for.
    fn run(mut self) -> Result<Vec<Library>> {
        let mut index = 0;
        while let Some(object) = self.objects.get(index) {
            for name in object.needed.clone() {
                if !self.loader.provides(&name) && self.loaded.insert(name.clone()) {
                    self.load(index, &name)?;
                }
            }
            index += 1;
        }
        Ok(self.found)
    }

    /// Finds `name` for the object at `index` and takes it in.
    fn load(&mut self, index: usize, name: &str) -> Result<()> {
        let found = self.look_for(index, name)?;
        let guest_folder = found.guest.rsplit_once('/').map_or("/", |(folder, _)| folder).to_owned();
        let canonical = fs::canonicalize(&found.host).map_err(|why| Error::host("find", &found.host, why))?;
        self.push_object(&found.host, &found.bytes, &guest_folder, Some(index))?;
        self.record(canonical.clone(), &found.guest)?;
        let own_folder = found.host.parent().and_then(|folder| fs::canonicalize(folder).ok());
        if !found.explicit && own_folder.as_ref() != Some(&self.loader_folder) {
            let folder = self.loader_folder.strip_prefix(self.canonical_root()?).unwrap_or(&self.loader_folder);
            let guest = format!("/{}/{name}", folder.display());
            self.record(canonical, &guest)?;
        }
        Ok(())
    }

    fn canonical_root(&self) -> Result<PathBuf> {
        fs::canonicalize(self.root).map_err(|why| Error::host("find", self.root, why))
    }

    fn record(&mut self, host: PathBuf, guest: &str) -> Result<()> {
        let guest = normalised(guest).map_err(|why| Error::Program {
            path: host.clone(),
            why,
            fix: "link the program with simpler run paths".to_owned(),
        })?;
        self.found.push(Library { host, guest });
        Ok(())
    }

    /// Reads what the walk needs of an object; `guest_folder` becomes its `$ORIGIN`.
    fn push_object(&mut self, host: &Path, bytes: &[u8], guest_folder: &str, parent: Option<usize>) -> Result<()> {
        let elf = Elf::parse(bytes).map_err(|why| refusal(host, &why))?;
        let mut object =
            Object { host: host.to_owned(), needed: Vec::new(), rpath: Vec::new(), runpath: Vec::new(), parent };
        if let Some(dynamic) = elf.dynamic().map_err(|why| refusal(host, &why))? {
            object.needed = dynamic.needed().map(|name| text(host, name)).collect::<Result<_>>()?;
            object.runpath = self.folders(host, dynamic.runpath(), guest_folder)?;
            object.rpath = match dynamic.runpath() {
                Some(_) => Vec::new(),
                None => self.folders(host, dynamic.rpath(), guest_folder)?,
            };
            self.loaded.extend(dynamic.soname().map(|name| text(host, name)).transpose()?);
        }
        self.objects.push(object);
        Ok(())
    }

    /// The folders of a `DT_RPATH` or `DT_RUNPATH` on both sides.
    fn folders(&self, host: &Path, path: Option<&[u8]>, guest_folder: &str) -> Result<Vec<Folder>> {
        let path = path.map(|path| text(host, path)).transpose()?.unwrap_or_default();
        let origin = host.parent().and_then(Path::to_str).unwrap_or("/");
        let mut folders = Vec::new();
        for entry in path.split(':').filter(|entry| !entry.is_empty()) {
            let relocated = entry.contains("ORIGIN");
            for (host, guest) in expand(entry, origin).into_iter().zip(expand(entry, guest_folder)) {
                let host = match relocated {
                    true => PathBuf::from(host),
                    false => on_host(self.root, Path::new(&host)),
                };
                folders.push(Folder { host, guest });
            }
        }
        Ok(folders)
    }

    /// Searches in the order of ld.so(8).
    fn look_for(&self, index: usize, name: &str) -> Result<Found> {
        let needed_by = self.objects.get(index).map(|object| object.host.clone()).unwrap_or_default();
        if name.contains('/') {
            let host = on_host(self.root, Path::new(name));
            return try_file(host, format!("/{name}"), true).ok_or_else(|| Error::MissingLibrary {
                name: name.to_owned(),
                needed_by,
                searched: Vec::new(),
            });
        }
        let explicit = self.run_paths(index);
        let places = explicit.iter().map(|folder| (folder, true));
        let places = places.chain(self.system.iter().map(|folder| (folder, false)));
        for (folder, explicit) in places {
            let found = try_file(folder.host.join(name), format!("{}/{name}", folder.guest), explicit);
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let searched = explicit.iter().chain(&self.system).map(|folder| folder.host.clone());
        let searched = searched.filter(|folder| folder.is_dir()).collect();
        Err(Error::MissingLibrary { name: name.to_owned(), needed_by, searched })
    }

    /// `DT_RPATH` of the object and of those that asked for it, unless it has a `DT_RUNPATH`, which follows.
    fn run_paths(&self, index: usize) -> Vec<Folder> {
        let mut folders = Vec::new();
        let Some(object) = self.objects.get(index) else { return folders };
        let inherits = object.runpath.is_empty() || self.loader == Loader::Musl;
        let mut ancestor = Some(object).filter(|_| inherits);
        while let Some(object) = ancestor {
            folders.extend(object.rpath.iter().cloned());
            if self.loader == Loader::Musl {
                folders.extend(object.runpath.iter().cloned());
            }
            ancestor = object.parent.and_then(|parent| self.objects.get(parent));
        }
        folders.extend(object.runpath.iter().cloned());
        folders
    }
}

/// A library for this machine at `host`; others (32-bit, say) are passed over, as `ld.so` does.
fn try_file(host: PathBuf, guest: String, explicit: bool) -> Option<Found> {
    let bytes = fs::read(&host).ok()?;
    match Elf::parse(&bytes) {
        Err(ElfError::Not64Bit | ElfError::ForeignMachine(_) | ElfError::NotElf(_)) => None,
        _ => Some(Found { host, guest, bytes, explicit }),
    }
}

fn soname(host: &Path, elf: &Elf) -> Result<Option<String>> {
    let dynamic = elf.dynamic().map_err(|why| refusal(host, &why))?;
    dynamic.and_then(|dynamic| dynamic.soname()).map(|name| text(host, name)).transpose()
}

fn file_name(path: &str) -> Option<String> {
    path.rsplit('/').next().map(str::to_owned)
}

fn text(host: &Path, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Program {
        path: host.to_owned(),
        why: "a library name in it is not UTF-8".to_owned(),
        fix: "link it again with plain names".to_owned(),
    })
}

/// Takes `..` and `.` out of a guest path; `..` at the root stays there.
fn normalised(path: &str) -> std::result::Result<GuestPath, String> {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/")).parse()
}

#[cfg(test)]
mod tests;
