//! A running QEMU: started, watched, asked to stop, and never left behind.
//!
//! Everything that can happen arrives as an [`Event`] on one queue, so nothing polls: frames of the control port,
//! signals, and the end of QEMU, which its closed stderr tells; frames may be seen after that. [`run`] returns the
//! program's exit status; whichever way it returns, QEMU has ended and its private folder is gone.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::control::ToHost;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::interrupt::Interrupts;
use crate::qemu::command::{Console, Spec, UART};
use crate::qemu::control::{self, STOP_DEADLINE_MS};
use crate::qemu::streams::{Endpoint, Output, Served, Streams, copy_in, copy_out};
use crate::symbols::Symbolizer;

/// How long the guest may take to sync and power off after its program ended.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(30);

/// What the watching loop waits for.
enum Event {
    Frame(ToHost),
    Interrupt(usize),
    QemuEnded,
}

/// How a machine ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The program's exit status from the control port; `None` if the machine ended without one.
    pub status: Option<u8>,
    /// QEMU's own exit status; `None` if a signal ended it.
    pub qemu_status: Option<i32>,
    /// What QEMU wrote on its stderr.
    pub qemu_words: String,
    /// Whether the kernel reported that it is up.
    pub was_up: bool,
    /// Why it was ended from outside, if it was.
    pub ended_by: Option<EndedBy>,
}

/// What ended a machine that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// A signal to us.
    Interrupt,
    /// The time limit of the caller.
    TimeLimit,
    /// It did not power off after the program had ended.
    NoPowerOff,
}

impl Outcome {
    /// The exit status for our own process. Errors: [`Error::Machine`] and [`Error::Interrupted`] when there is none.
    pub fn exit_status(&self) -> Result<u8> {
        let words = self.qemu_words.trim();
        match (self.status, self.ended_by) {
            (Some(status), _) => Ok(status),
            (None, Some(EndedBy::Interrupt)) => Err(Error::Interrupted),
            (None, Some(_)) => Err(Error::Machine {
                why: "the machine did not end in time and was stopped".to_owned(),
                fix: "run it with -v and --trace all to see where it stands".to_owned(),
            }),
            (None, None) if !self.was_up && !words.is_empty() => Err(Error::Machine {
                why: format!("QEMU did not start the machine: {words}"),
                fix: "change the option that it names".to_owned(),
            }),
            (None, None) => Err(Error::Machine {
                why: format!("the machine ended without the program's status ({})", self.qemu_end()),
                fix: "the lines above say why".to_owned(),
            }),
        }
    }
}

impl Outcome {
    /// How QEMU ended, in words.
    fn qemu_end(&self) -> String {
        match self.qemu_status {
            Some(status) => format!("QEMU ended with status {status}"),
            None => "a signal ended QEMU".to_owned(),
        }
    }
}

/// Boots the machine of `spec` and stays with it to its end.
///
/// `folder` is private and receives the sockets; `limit` ends a machine that runs longer.
///
/// Errors: [`Error::Host`] if QEMU or the sockets cannot be made. A machine that fails is an [`Outcome`].
pub fn run(
    qemu: &Path,
    mut spec: Spec,
    folder: &TempDir,
    streams: Streams,
    interrupts: &Interrupts,
    limit: Option<Duration>,
) -> Result<Outcome> {
    spec.console = Console::Streams(folder.path().to_owned());
    let (sender, events) = mpsc::channel();
    let commands = control::Sender::default();
    let served = serve(folder.path(), streams, &commands, &sender)?;
    let mut child = match spawn(qemu, &spec) {
        Ok(child) => child,
        Err(why) => {
            served.into_iter().for_each(Served::finish);
            return Err(why);
        }
    };
    let words = watch_stderr(child.stderr.take(), sender.clone());
    interrupts.listen(move |seen| sender.send(Event::Interrupt(seen)).unwrap_or_default());
    let mut watch = Watch {
        child: Guard(child),
        commands,
        status: None,
        was_up: false,
        ended_by: None,
        deadline: limit.map(|limit| (Instant::now() + limit, EndedBy::TimeLimit)),
    };
    watch.until_the_end(&events);
    interrupts.unlisten();
    let qemu_status = watch.child.0.wait().ok().and_then(|status| status.code());
    served.into_iter().for_each(Served::finish);
    // QEMU's end may have been seen before the last frames, which are all on the queue now.
    events.try_iter().for_each(|event| watch.late(event));
    Ok(Outcome {
        status: watch.status,
        qemu_status,
        qemu_words: words.join().unwrap_or_default(),
        was_up: watch.was_up,
        ended_by: watch.ended_by,
    })
}

/// Listens on every socket and starts their threads. Input is served by a thread that nobody waits for, because it
/// may sit in a read from a terminal.
fn serve(folder: &Path, streams: Streams, commands: &control::Sender, events: &Sender<Event>) -> Result<Vec<Served>> {
    let Streams { stdin, stdout, stderr, log, uart } = streams;
    // A crash report comes through the UART; reports of tasks that died go to the log.
    let (log, uart) = (Box::new(Symbolizer::new(log)), Box::new(Symbolizer::new(uart)));
    let outputs: [(&str, Output); 4] = [("stdout", stdout), ("stderr", stderr), ("log", log), (UART, uart)];
    let input = Endpoint::listen(folder, "stdin")?;
    let control = Endpoint::listen(folder, "control")?;
    let mut served = Vec::new();
    for (name, output) in outputs {
        served.push(Endpoint::listen(folder, name)?.serve(move |stream| copy_out(stream, output)));
    }
    let _detached = input.serve(move |stream| copy_in(stream, stdin));
    let (commands, events) = (commands.clone(), events.clone());
    served.push(control.serve(move |stream| {
        if let Ok(writer) = stream.try_clone() {
            commands.attach(writer);
        }
        control::receive(stream, |frame| events.send(Event::Frame(frame)).unwrap_or_default());
    }));
    Ok(served)
}

/// Starts QEMU in a process group of its own, so that Ctrl-C reaches only us.
fn spawn(qemu: &Path, spec: &Spec) -> Result<Child> {
    let mut command = Command::new(qemu);
    command.args(spec.arguments()).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|why| Error::host("start", qemu, why))
}

/// Collects QEMU's own words; their end is the end of QEMU.
fn watch_stderr(stderr: Option<ChildStderr>, events: Sender<Event>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut words = Vec::new();
        if let Some(mut stderr) = stderr {
            // What was read before an error is still worth showing.
            let _ = stderr.read_to_end(&mut words);
        }
        events.send(Event::QemuEnded).unwrap_or_default();
        String::from_utf8_lossy(&words).into_owned()
    })
}

/// Ends the child when dropped, so that no early return leaves a machine running.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// State of the watching loop.
struct Watch {
    child: Guard,
    commands: control::Sender,
    status: Option<u8>,
    was_up: bool,
    ended_by: Option<EndedBy>,
    /// When to end the machine, and what to say then.
    deadline: Option<(Instant, EndedBy)>,
}

impl Watch {
    fn until_the_end(&mut self, events: &Receiver<Event>) {
        loop {
            match self.next(events) {
                Ok(Event::Frame(ToHost::Hello)) => self.was_up = true,
                Ok(Event::Frame(ToHost::Exit { status })) => self.program_ended(status),
                Ok(Event::Frame(ToHost::Refused)) => {}
                Ok(Event::Interrupt(1)) if self.was_up => self.ask_to_stop(),
                Ok(Event::Interrupt(_)) => self.end(EndedBy::Interrupt),
                Ok(Event::QemuEnded) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let by = self.deadline.take().map_or(EndedBy::TimeLimit, |(_, by)| by);
                    self.end(by);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// An event after QEMU has ended: only what the guest said still counts.
    fn late(&mut self, event: Event) {
        match event {
            Event::Frame(ToHost::Hello) => self.was_up = true,
            Event::Frame(ToHost::Exit { status }) => self.status = Some(status),
            Event::Frame(ToHost::Refused) | Event::Interrupt(_) | Event::QemuEnded => {}
        }
    }

    fn next(&self, events: &Receiver<Event>) -> std::result::Result<Event, RecvTimeoutError> {
        match self.deadline {
            Some((at, _)) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn program_ended(&mut self, status: u8) {
        self.status = Some(status);
        self.deadline = Some((Instant::now() + POWER_OFF_LIMIT, EndedBy::NoPowerOff));
    }

    /// The first signal: the guest ends its program; if even that cannot be asked for, QEMU is ended.
    fn ask_to_stop(&mut self) {
        match self.commands.stop() {
            Ok(()) => {
                let limit = Duration::from_millis(STOP_DEADLINE_MS.into()) + POWER_OFF_LIMIT;
                self.deadline = Some((Instant::now() + limit, EndedBy::Interrupt));
            }
            Err(_) => self.end(EndedBy::Interrupt),
        }
    }

    fn end(&mut self, by: EndedBy) {
        self.ended_by.get_or_insert(by);
        // It can only fail when QEMU has ended, and that event is on its way.
        let _ = self.child.0.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome { status: None, qemu_status: Some(1), qemu_words: String::new(), was_up: false, ended_by: None }
    }

    #[test]
    fn the_programs_status_passes_through() {
        assert_eq!(Outcome { status: Some(143), ..outcome() }.exit_status().unwrap(), 143);
    }

    #[test]
    fn what_qemu_says_about_a_bad_option_is_shown() {
        let failed = Outcome { qemu_words: "qemu: no memory\n".to_owned(), ..outcome() };
        assert!(failed.exit_status().unwrap_err().to_string().contains("qemu: no memory;"));
    }

    #[test]
    fn a_machine_that_ends_without_a_status_is_a_failure_of_ours() {
        assert_eq!(outcome().exit_status().unwrap_err().status(), 125);
        let stopped = Outcome { ended_by: Some(EndedBy::Interrupt), ..outcome() };
        assert_eq!(stopped.exit_status().unwrap_err().status(), 130);
    }
}
