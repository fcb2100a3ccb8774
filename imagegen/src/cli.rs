//! The command line: `imagegen app.elf ...` writes an image, `imagegen run app.elf ...` also boots it.
//!
//! Only shapes and help texts live here; the values are parsed by [`crate::options`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::options::{ByteSize, HostToGuest, Mount, PortForward, Variable};

/// Memory of the machine unless `-m` says otherwise.
const DEFAULT_MEMORY: &str = "512M";

/// Shown after `--help`.
const EXAMPLES: &str = "\
Examples:
  imagegen run ./hello                                     run a program, see its output, get its exit status
  imagegen run ./server -p 8080 --mount site:/static       a web server with a folder of the host, edited live
  imagegen run ./server -p 0.0.0.0:80:8080 -e LOG=debug -- --workers 4
  imagegen ./server --dir www:/www -o server.img           write a disk image that any machine boots
  imagegen run ./app --mount /srv/data:/data:ro -m 64M --accel tcg -v

The program's own arguments follow '--'. A program that is called 'run' is written './run'.
Ctrl-C sends SIGTERM to the program, syncs its disk and powers off; a second Ctrl-C stops at once.
Exit status: the program's own, 128+n when signal n ended it, 125 when Skiff itself failed.";

/// Runs one unmodified Linux x86_64 program as a virtual machine.
#[derive(Debug, Parser)]
#[command(
    name = "imagegen",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "imagegen [OPTIONS] PROGRAM [-- ARGUMENTS]\n       imagegen run [OPTIONS] PROGRAM [-- ARGUMENTS]"
)]
pub struct Cli {
    /// What to do after the image was written.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to put into the image.
    #[command(flatten)]
    pub options: Option<Options>,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes the image, boots it in QEMU and exits with the program's status
    #[command(after_help = EXAMPLES, override_usage = "imagegen run [OPTIONS] PROGRAM [-- ARGUMENTS]")]
    Run(Options),
}

/// Options of both forms; those about the machine shape the printed command when the image is only written.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The Linux x86_64 program, static or dynamic; its libraries are found and copied
    pub program: PathBuf,

    /// The program's arguments
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,

    /// Show a folder of the host live in the guest (repeatable)
    #[arg(long = "mount", value_name = "HOST:/GUEST[:ro]")]
    pub mounts: Vec<Mount>,

    /// Forward a port of the host into the guest (repeatable); '-p 8080' means 127.0.0.1:8080:8080
    #[arg(short = 'p', long = "port", value_name = "[ADDR:]HOST:GUEST[/udp]")]
    pub ports: Vec<PortForward>,

    /// Set a variable of the program's environment (repeatable)
    #[arg(short = 'e', long = "env", value_name = "K=V")]
    pub environment: Vec<Variable>,

    /// Copy a file into the image (repeatable)
    #[arg(long = "file", value_name = "HOST:/GUEST")]
    pub files: Vec<HostToGuest>,

    /// Copy a folder with everything below it into the image (repeatable)
    #[arg(long = "dir", value_name = "HOST:/GUEST")]
    pub folders: Vec<HostToGuest>,

    /// Memory of the machine, in MiB or with a suffix k, m, g
    #[arg(short = 'm', long = "memory", value_name = "SIZE", default_value = DEFAULT_MEMORY)]
    pub memory: ByteSize,

    /// Number of CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub smp: u8,

    /// Name of the machine and its host name [default: the program's file name]
    #[arg(long)]
    pub name: Option<String>,

    /// Hardware acceleration; auto takes KVM only after it was seen to work
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    pub accel: Accel,

    /// Machine type of QEMU [default: microvm, or q35 when there are more devices than microvm has room for]
    #[arg(long, value_enum)]
    pub machine: Option<Machine>,

    /// Size of the root volume, in MiB or with a suffix [default: contents plus 256M; free room takes no space]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<ByteSize>,

    /// Where to write the image [default: PROGRAM.img; for 'run' a temporary file]
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Trace these servers on the log, for example tfs,p9 or all
    #[arg(long, value_name = "SERVER,...", value_delimiter = ',')]
    pub trace: Vec<String>,

    /// Print the QEMU command, ready for a shell
    #[arg(long)]
    pub print_qemu: bool,

    /// Add a word to QEMU's command line (repeatable)
    #[arg(long = "qemu-arg", value_name = "WORD", allow_hyphen_values = true)]
    pub qemu_arguments: Vec<OsString>,

    /// Say what is being done
    #[arg(short = 'v', long)]
    pub verbose: bool,
}

impl Options {
    /// Reads the words that would follow `imagegen run`. Errors: clap's words about a wrong one.
    pub fn from_words<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Options, String> {
        let run = ["imagegen", "run"].map(OsString::from);
        let cli = Cli::try_parse_from(run.into_iter().chain(words.into_iter().map(Into::into)));
        match cli.map_err(|why| why.to_string())?.command {
            Some(Command::Run(options)) => Ok(options),
            None => Err("no program was given".to_owned()),
        }
    }
}

/// Which engine runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// KVM when a probe shows that it works, else TCG.
    Auto,
    /// KVM or an error.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// QEMU machine types that Skiff starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// virtio-mmio devices, no PCI, the kernel loaded directly.
    Microvm,
    /// PCI with MSI-X, the kernel loaded directly.
    Q35,
    /// A plain PC that boots the disk through its BIOS.
    Pc,
}

impl Machine {
    /// QEMU's name.
    pub fn name(self) -> &'static str {
        match self {
            Machine::Microvm => "microvm",
            Machine::Q35 => "q35",
            Machine::Pc => "pc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"imagegen").chain(words))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_program_alone_is_enough() {
        let options = parse(&["app.elf"]).unwrap().options.unwrap();
        assert_eq!(options.program, PathBuf::from("app.elf"));
        assert_eq!(options.memory, ByteSize::mib(512));
        assert_eq!(options.smp, 1);
        assert_eq!(options.machine, None);
    }

    #[test]
    fn run_takes_the_same_options_and_keeps_the_programs_arguments_apart() {
        let cli = parse(&["run", "app", "--mount", "a:/b:ro", "--mount", "c:/d", "-p", "80", "--", "-p", "x"]).unwrap();
        let Some(Command::Run(options)) = cli.command else { panic!("run is a subcommand") };
        assert_eq!(options.mounts.len(), 2);
        assert_eq!(options.ports.len(), 1);
        assert_eq!(options.arguments, ["-p", "x"]);
    }

    #[test]
    fn traced_servers_are_separated_by_commas() {
        let options = parse(&["app", "--trace", "tfs,p9"]).unwrap().options.unwrap();
        assert_eq!(options.trace, ["tfs", "p9"]);
    }

    #[test]
    fn bad_values_are_refused() {
        for words in
            [&["app", "--mount", "x"][..], &["app", "-p", "x"], &["app", "-m", "0"], &["app", "--smp", "0"], &[]]
        {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
