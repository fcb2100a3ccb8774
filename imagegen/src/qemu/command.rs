//! The QEMU command line for one machine.
//!
//! Three machine types and two ways to talk: with [`Console::Streams`] every stream of the program has a virtio-serial
//! port of its own on a Unix socket, with [`Console::Terminal`] the UART is the terminal (the command that a person is
//! told to type). Facts: qemu(1), QEMU 7.2 `docs/system/i386/microvm.rst`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::cli::{Machine, Options};
use crate::error::{Error, Result};
use crate::options::{Access, Mount, PortForward};

/// virtio-mmio places of microvm that are left for shares beside disk, network, entropy and serial.
const MICROVM_SHARES_MAX: usize = 4;

/// Where the program's streams go.
#[derive(Clone, Debug)]
pub enum Console {
    /// To sockets with the names of [`PORTS`] and [`UART`] in this folder, which somebody listens on.
    Streams(PathBuf),
    /// To the terminal, through the UART.
    Terminal,
}

/// virtio-serial ports: the name that the guest sees is `skiff.` and this.
pub const PORTS: [&str; 5] = ["stdout", "stderr", "stdin", "log", "control"];

/// Socket of the UART, the stream of last resort.
pub const UART: &str = "uart";

/// Everything that the command line depends on.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Machine type.
    pub machine: Machine,
    /// `kvm` or `tcg`; `None` leaves the choice to QEMU.
    pub accel: Option<&'static str>,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Number of CPUs.
    pub cpus: u8,
    /// The machine's name.
    pub name: String,
    /// The disk image; `None` for kernels that need none.
    pub disk: Option<PathBuf>,
    /// A kernel to load directly instead of booting the disk.
    pub kernel: Option<PathBuf>,
    /// Its command line.
    pub kernel_words: String,
    /// Shared folders; the N-th has the mount tag N.
    pub mounts: Vec<Mount>,
    /// Forwarded ports.
    pub ports: Vec<PortForward>,
    /// Where the streams go.
    pub console: Console,
    /// Further QEMU arguments, at the end.
    pub extra: Vec<OsString>,
}

impl Spec {
    /// The machine that `options` ask for, without disk, kernel and accelerator, on the terminal.
    ///
    /// Errors: [`Error::Option`] when microvm was asked for and cannot hold all shares.
    pub fn new(options: &Options, name: String) -> Result<Spec> {
        Ok(Spec {
            machine: machine(options)?,
            accel: None,
            memory_bytes: options.memory.bytes(),
            cpus: options.smp,
            name,
            disk: None,
            kernel: None,
            kernel_words: String::new(),
            mounts: options.mounts.clone(),
            ports: options.ports.clone(),
            console: Console::Terminal,
            extra: options.qemu_arguments.clone(),
        })
    }

    /// The arguments, without the name of QEMU itself.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut words = Words::default();
        self.push_machine(&mut words);
        self.push_kernel(&mut words);
        self.push_disk(&mut words);
        self.push_network(&mut words);
        self.push_shares(&mut words);
        self.push_console(&mut words);
        words.add(["-device", self.device("virtio-rng").as_str()]);
        words.0.extend(self.extra.iter().cloned());
        words.0
    }

    fn push_machine(&self, words: &mut Words) {
        let machine = match self.machine {
            Machine::Microvm => "microvm,acpi=off,rtc=on",
            other => other.name(),
        };
        words.add(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        words.add(["-name", &escaped(&self.name), "-machine", machine]);
        if self.machine == Machine::Microvm {
            words.add(["-global", "virtio-mmio.force-legacy=false"]);
        }
        if let Some(accel) = self.accel {
            words.add(["-accel", accel]);
        }
        words.add(["-cpu", "max", "-smp", &self.cpus.to_string()]);
        // QEMU counts in KiB here because `-m` refuses bytes that are no multiple of its own page size.
        words.add(["-m", &format!("{}k", self.memory_bytes.div_ceil(1024))]);
        words.add(["-device", "isa-debug-exit,iobase=0x501,iosize=2"]);
    }

    fn push_kernel(&self, words: &mut Words) {
        let Some(kernel) = &self.kernel else { return };
        words.add(["-kernel"]);
        words.0.push(kernel.clone().into_os_string());
        if !self.kernel_words.is_empty() {
            words.add(["-append", &self.kernel_words]);
        }
    }

    fn push_disk(&self, words: &mut Words) {
        let Some(disk) = &self.disk else { return };
        words.add(["-drive"]);
        words.path("id=disk0,if=none,format=raw,file=", disk, "");
        words.add(["-device", &format!("{},drive=disk0", self.device("virtio-blk"))]);
    }

    fn push_network(&self, words: &mut Words) {
        let mut user = "user,id=net0,ipv6=off".to_owned();
        for port in &self.ports {
            user += &format!(",hostfwd={}:{}:{}-:{}", port.transport.name(), port.address, port.host, port.guest);
        }
        words.add(["-netdev", &user, "-device", &format!("{},netdev=net0", self.device("virtio-net"))]);
    }

    fn push_shares(&self, words: &mut Words) {
        for (number, mount) in self.mounts.iter().enumerate() {
            let access = match mount.access {
                Access::ReadOnly => ",readonly=on",
                Access::ReadWrite => "",
            };
            words.add(["-fsdev"]);
            let front = format!("local,id=share{number},security_model=none,multidevs=remap{access},path=");
            words.path(&front, &mount.host, "");
            let device = self.device("virtio-9p");
            words.add(["-device", &format!("{device},fsdev=share{number},mount_tag={number}")]);
        }
    }

    fn push_console(&self, words: &mut Words) {
        let folder = match &self.console {
            Console::Terminal => return words.add(["-serial", "stdio"]),
            Console::Streams(folder) => folder,
        };
        words.add(["-device", &format!("{},max_ports=8", self.device("virtio-serial"))]);
        for (number, name) in PORTS.iter().enumerate() {
            words.add(["-chardev"]);
            words.path(&format!("socket,id={name},path="), &folder.join(name), "");
            // Port 0 is reserved for a console.
            words.add(["-device", &format!("virtserialport,nr={},chardev={name},name=skiff.{name}", number + 1)]);
        }
        words.add(["-chardev"]);
        words.path(&format!("socket,id={UART},path="), &folder.join(UART), "");
        words.add(["-serial", &format!("chardev:{UART}")]);
    }

    /// The name of a virtio device on this machine's bus.
    fn device(&self, kind: &str) -> String {
        match self.machine {
            Machine::Microvm => format!("{kind}-device"),
            Machine::Q35 | Machine::Pc => format!("{kind}-pci"),
        }
    }
}

/// The machine type: as asked for, else microvm if everything finds room there.
fn machine(options: &Options) -> Result<Machine> {
    let fits = options.mounts.len() <= MICROVM_SHARES_MAX;
    match options.machine {
        Some(Machine::Microvm) if !fits => Err(Error::Option {
            option: "--machine microvm".to_owned(),
            why: format!("it has room for {MICROVM_SHARES_MAX} shares, and {} are mounted", options.mounts.len()),
            fix: "use --machine q35".to_owned(),
        }),
        Some(machine) => Ok(machine),
        None if fits => Ok(Machine::Microvm),
        None => Ok(Machine::Q35),
    }
}

/// The command as a line for a shell.
pub fn shell_line(program: &Path, arguments: &[OsString]) -> String {
    let words = std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=+,.:/@%".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// QEMU separates options by commas; a comma inside one is doubled.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

/// Arguments under construction.
#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    /// Adds one word that contains a path, whose commas are doubled; the path need not be UTF-8.
    fn path(&mut self, front: &str, path: &Path, back: &str) {
        let mut word = front.as_bytes().to_vec();
        for byte in path.as_os_str().as_bytes() {
            word.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
        }
        word.extend(back.as_bytes());
        self.0.push(OsString::from_vec(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn spec(words: &[&str]) -> Result<Spec> {
        let cli = crate::cli::Cli::try_parse_from(["imagegen", "app"].iter().chain(words)).unwrap();
        Spec::new(&cli.options.unwrap(), "app".to_owned())
    }

    fn line(spec: &Spec) -> String {
        shell_line(Path::new("qemu"), &spec.arguments())
    }

    #[test]
    fn a_share_has_its_number_as_tag_and_says_when_it_is_read_only() {
        let line = line(&spec(&["--mount", "a,b:/x", "--mount", "c d:/y:ro"]).unwrap());
        assert!(line.contains("id=share0,security_model=none,multidevs=remap,path=a,,b "), "{line}");
        assert!(line.contains("virtio-9p-device,fsdev=share1,mount_tag=1"), "{line}");
        assert!(line.contains("'local,id=share1,security_model=none,multidevs=remap,readonly=on,path=c d'"), "{line}");
    }

    #[test]
    fn ports_are_forwarded_to_the_guest() {
        let line = line(&spec(&["-p", "8080:80", "-p", "0.0.0.0:53:53/udp"]).unwrap());
        assert!(line.contains("hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:0.0.0.0:53-:53"), "{line}");
    }

    #[test]
    fn a_machine_with_a_pci_bus_gets_pci_devices() {
        let mut spec = spec(&["--machine", "pc"]).unwrap();
        spec.disk = Some("app.img".into());
        let line = line(&spec);
        assert!(line.contains("-machine pc ") && line.contains("virtio-blk-pci,drive=disk0"), "{line}");
        assert!(!line.contains("-device virtio-blk-device"), "{line}");
    }

    #[test]
    fn more_shares_than_microvm_holds_need_another_machine() {
        let mounts: Vec<String> = (0..5).flat_map(|n| ["--mount".to_owned(), format!("a:/m{n}")]).collect();
        let mut words: Vec<&str> = mounts.iter().map(String::as_str).collect();
        assert_eq!(spec(&words).unwrap().machine, Machine::Q35);
        words.extend(["--machine", "microvm"]);
        assert!(spec(&words).unwrap_err().to_string().contains("q35"));
    }

    #[test]
    fn every_stream_has_its_own_port() {
        let mut spec = spec(&[]).unwrap();
        spec.console = Console::Streams("/run/x".into());
        let line = line(&spec);
        for name in PORTS {
            assert!(line.contains(&format!("path=/run/x/{name} ")), "{line}");
            assert!(line.contains(&format!("name=skiff.{name}")), "{line}");
        }
    }
}
