//! What the two forms of the command do, step by step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tfs_format::SECTOR_BYTES;

use crate::cli::{Cli, Command, Machine, Options};
use crate::embedded;
use crate::error::{Error, Result};
use crate::image::{Disk, check_output};
use crate::interrupt::Interrupts;
use crate::libraries;
use crate::manifest::manifest;
use crate::options::ByteSize;
use crate::program::Program;
use crate::qemu::{self, accel, command, ports, process, streams};
use crate::rootfs;
use crate::volume::plan_root;

/// Free room in the root volume unless `--size` says otherwise.
const FREE_BYTES: u64 = ByteSize::mib(256).bytes();

/// Least memory of a machine; below it the kernel cannot start a program.
const MEMORY_MIN: ByteSize = ByteSize::mib(16);

/// Volumes are rounded up to this; so much more than `--size` is no reason to complain.
const SIZE_GRAIN: u64 = 512 * 1024;

/// Does what the command line says and returns the exit status of the process. Errors go to stderr.
pub fn execute(cli: Cli) -> ExitCode {
    let done = Interrupts::install().map_err(|why| Error::host("watch signals of", Path::new("this process"), why));
    let done = done.and_then(|interrupts| match (cli.command, cli.options) {
        (Some(Command::Run(options)), _) => run_program(&options, &interrupts),
        (None, Some(options)) => write_image(&options, &interrupts).map(|()| 0),
        (None, None) => Err(Error::Option {
            option: "imagegen".to_owned(),
            why: "no program was given".to_owned(),
            fix: "see imagegen --help".to_owned(),
        }),
    });
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("imagegen: {error}");
            ExitCode::from(error.status())
        }
    }
}

/// A program with all that belongs to it, ready to become an image.
pub struct Prepared {
    /// The disk.
    pub disk: Disk,
    /// Where the program is on the host.
    pub program: PathBuf,
}

/// Checks the program and the options and plans the disk. Nothing is written yet.
pub fn prepare(options: &Options) -> Result<Prepared> {
    check_memory(options)?;
    check_mounts(options)?;
    let program = Program::open(&options.program)?;
    let libraries = libraries::find(&program, Path::new("/"))?;
    for library in libraries.iter().filter(|_| options.verbose) {
        eprintln!("imagegen: library {} from {}", library.guest, library.host.display());
    }
    let tree = rootfs::assemble(options, &program, &libraries)?;
    let (_, bytes) = tree.totals();
    let least = options.size.map_or(bytes.saturating_add(FREE_BYTES), ByteSize::bytes);
    let root = plan_root(&tree, &manifest(options, &program), least)?;
    check_size(options, root.built.sectors * SECTOR_BYTES)?;
    let disk = Disk::new(embedded::BOOT, embedded::KERNEL, root)?;
    Ok(Prepared { disk, program: program.host })
}

/// `imagegen app.elf`: writes the image and says how to start it.
fn write_image(options: &Options, interrupts: &Interrupts) -> Result<()> {
    let prepared = prepare(options)?;
    let output = options.output.clone().unwrap_or_else(|| default_output(&options.program));
    write(&prepared, &output, options, interrupts)?;
    let mut spec = command::Spec::new(options, rootfs::host_name(options))?;
    spec.machine = options.machine.unwrap_or(Machine::Pc);
    if spec.machine != Machine::Pc {
        let fix = "use 'imagegen run', or leave the machine away: the image boots on any PC".to_owned();
        let why = "only a PC boots from a disk image alone".to_owned();
        return Err(Error::Option { option: "--machine".to_owned(), why, fix });
    }
    spec.disk = Some(output.clone());
    let line = command::shell_line(Path::new(qemu::PROGRAM), &spec.arguments());
    if options.print_qemu {
        println!("{line}");
    } else {
        println!("{} is a bootable disk of {}. Start it with", output.display(), ByteSize::of(prepared.disk.bytes()));
        println!("  {line}");
        println!("or on any machine that boots it, for example");
        println!("  {} -drive file={},format=raw,if=virtio", qemu::PROGRAM, output.display());
    }
    Ok(())
}

/// `imagegen run app.elf`: writes the image, boots it, and returns the program's exit status.
fn run_program(options: &Options, interrupts: &Interrupts) -> Result<u8> {
    let outcome = boot(options, streams::Streams::inherit()?, interrupts, None)?;
    outcome.exit_status()
}

/// Writes the image and boots it with the given streams; tests call this too.
///
/// `limit` ends a machine that runs longer. The image goes to a temporary file unless `-o` names one.
pub fn boot(
    options: &Options,
    streams: streams::Streams,
    interrupts: &Interrupts,
    limit: Option<Duration>,
) -> Result<process::Outcome> {
    qemu::find()?;
    ports::check(&options.ports)?;
    let prepared = prepare(options)?;
    let folder = streams::private_folder()?;
    let image = options.output.clone().unwrap_or_else(|| folder.path().join("disk.img"));
    write(&prepared, &image, options, interrupts)?;
    boot_image(options, &image, folder, streams, interrupts, limit)
}

/// Boots an image that is there already, on the machine that `options` ask for.
///
/// `folder` is private to this machine and is removed at the end.
pub fn boot_image(
    options: &Options,
    image: &Path,
    folder: TempDir,
    streams: streams::Streams,
    interrupts: &Interrupts,
    limit: Option<Duration>,
) -> Result<process::Outcome> {
    let qemu = qemu::find()?;
    let kernel = folder.path().join("kernel");
    fs::write(&kernel, embedded::KERNEL).map_err(|why| Error::host("write", &kernel, why))?;
    let mut spec = command::Spec::new(options, rootfs::host_name(options))?;
    let decision = accel::decide(options.accel, &qemu, &kernel)?;
    if options.verbose {
        eprintln!("imagegen: {} on {}, {}", decision.accel, spec.machine.name(), decision.why);
    }
    interrupts.check()?;
    spec.accel = Some(decision.accel);
    spec.disk = Some(image.to_owned());
    spec.kernel = (spec.machine != Machine::Pc).then_some(kernel);
    spec.console = command::Console::Streams(folder.path().to_owned());
    if options.print_qemu {
        eprintln!("{}", command::shell_line(&qemu, &spec.arguments()));
    }
    process::run(&qemu, spec, &folder, streams, interrupts, limit)
}

fn write(prepared: &Prepared, output: &Path, options: &Options, interrupts: &Interrupts) -> Result<()> {
    check_output(output, &prepared.program)?;
    let started = Instant::now();
    prepared.disk.write(output, interrupts)?;
    if options.verbose {
        eprintln!("imagegen: wrote {} in {} ms", output.display(), started.elapsed().as_millis());
    }
    Ok(())
}

/// `app.elf` becomes `app.img`, and `server` becomes `server.img`, in the current folder.
fn default_output(program: &Path) -> PathBuf {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    PathBuf::from(format!("{}.img", name.strip_suffix(".elf").unwrap_or(&name)))
}

fn check_memory(options: &Options) -> Result<()> {
    match options.memory < MEMORY_MIN {
        true => Err(Error::Option {
            option: format!("-m {}", options.memory),
            why: "too little memory for a machine".to_owned(),
            fix: format!("give at least {MEMORY_MIN}"),
        }),
        false => Ok(()),
    }
}

/// Mounted folders must be there, and each has a place of its own in the guest.
fn check_mounts(options: &Options) -> Result<()> {
    for (number, mount) in options.mounts.iter().enumerate() {
        let refuse = |why: String, fix: &str| {
            let option = format!("--mount {}:{}", mount.host.display(), mount.guest);
            Err(Error::Option { option, why, fix: fix.to_owned() })
        };
        match fs::read_dir(&mount.host) {
            Ok(_) => {}
            Err(why) => {
                let why = format!("the host folder {} cannot be opened ({why})", mount.host.display());
                return refuse(why, "create it, or check the path");
            }
        }
        if options.mounts.iter().take(number).any(|other| other.guest == mount.guest) {
            return refuse("another folder is mounted there".to_owned(), "give it another guest path");
        }
    }
    Ok(())
}

/// `--size` must hold the contents; the planner makes a larger volume where they do not fit.
fn check_size(options: &Options, root_bytes: u64) -> Result<()> {
    match options.size {
        Some(size) if root_bytes > size.bytes().saturating_add(SIZE_GRAIN) => Err(Error::Option {
            option: format!("--size {size}"),
            why: format!("the contents need {}", ByteSize::of(root_bytes)),
            fix: "give a larger size, or leave it away".to_owned(),
        }),
        _ => Ok(()),
    }
}
