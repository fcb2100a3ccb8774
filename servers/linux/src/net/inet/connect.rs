//! connect(2) of TCP sockets.

use super::stream::{PAGES, Phase, Stream};
use super::wire::Wire;
use super::{errno, patiently, settings, standing};
use crate::context::Context;
use crate::fs::description::Patience;
use crate::fs::node::Result;
use crate::net::Socket;
use crate::net::address::{family, parse};
use crate::wait::WRITABLE;
use core::sync::atomic::Ordering;
use linux_abi::Errno;
use linux_abi::socket::number::AF_UNSPEC;
use protocol::net::{Connect, Endpoint};

/// Connects. Errors: `EISCONN`, `EALREADY`, `EINPROGRESS`, those of the handshake, `EINTR`.
pub(super) fn connect(stream: &Stream, cx: &Context, patience: Patience, bytes: &[u8]) -> Result<()> {
    match family(bytes) {
        None => return Err(Errno::EINVAL),
        Some(AF_UNSPEC) => return disconnect(stream),
        Some(_) => {}
    }
    let Some(begun) = advance(stream, bytes)? else { return Ok(()) };
    if patience == Patience::Never {
        return Err(if begun { Errno::EINPROGRESS } else { Errno::EALREADY });
    }
    await_outcome(stream, cx)
}

/// Moves a stream on to its handshake: `None` if that has succeeded already, else whether it was begun now.
fn advance(stream: &Stream, bytes: &[u8]) -> Result<Option<bool>> {
    let _inside = stream.gate.pass();
    match stream.shared.phase() {
        Phase::Connected(_) if stream.told.swap(true, Ordering::AcqRel) => Err(Errno::EISCONN),
        Phase::Connected(_) => Ok(None),
        Phase::Listening(_) => Err(Errno::EISCONN),
        Phase::Closed => Err(Errno::EBADF),
        Phase::Failed => {
            stream.shared.enter(Phase::Idle);
            Err(stream.shared.take_error().unwrap_or(Errno::ECONNABORTED))
        }
        Phase::Connecting => Ok(Some(false)),
        Phase::Idle => begin(stream, parse(stream.common().shape.family, bytes)?).map(|()| Some(true)),
    }
}

fn await_outcome(stream: &Stream, cx: &Context) -> Result<()> {
    let deadline = stream.common().options.send_deadline();
    let shared = &stream.shared;
    let outcome = patiently(cx, false, (&shared.common.queue, WRITABLE), deadline, || match shared.phase() {
        Phase::Connecting => None,
        Phase::Connected(_) => Some(Ok(())),
        _ => Some(Err(shared.take_error().unwrap_or(Errno::ECONNABORTED))),
    });
    match outcome {
        Ok(()) => stream.told.store(true, Ordering::Release),
        // The timeout passed: it goes on in the background.
        Err(Errno::EAGAIN) => return Err(Errno::EINPROGRESS),
        Err(_) => {
            let _inside = stream.gate.pass();
            if matches!(shared.phase(), Phase::Failed) {
                shared.enter(Phase::Idle);
            }
        }
    }
    outcome
}

/// Starts the handshake. Errors: `EADDRNOTAVAIL`, `ENOBUFS`, `ENETDOWN`.
fn begin(stream: &Stream, remote: Endpoint) -> Result<()> {
    let handle = stream.open()?;
    let socket = handle.number()?;
    let (rx_pages, tx_pages) = settings::ring_pages(stream.common(), PAGES);
    let (wire, rings, attached) = Wire::create(stream.shared.clone(), rx_pages, tx_pages)?;
    stream.ends.lock().remote = Some(remote);
    stream.told.store(false, Ordering::Release);
    stream.common().take_error();
    stream.shared.enter(Phase::Connecting);
    let call = Connect { socket, remote, rings: Some(rings) };
    let (shared, ends) = (stream.shared.clone(), stream.ends.clone());
    standing::queue(&stream.line, call, attached, move |reply| {
        // Closed or dissolved meanwhile: the answer is of no interest.
        let before = {
            let mut phase = shared.phase.write();
            if !matches!(*phase, Phase::Connecting) {
                return;
            }
            let next = match reply {
                Ok(local) => {
                    ends.lock().local = Some(local);
                    Phase::Connected(wire)
                }
                Err(error) => {
                    shared.common.fail(errno(error));
                    Phase::Failed
                }
            };
            core::mem::replace(&mut *phase, next)
        };
        drop(before);
        shared.common.queue.wake_all();
    });
    Ok(())
}

/// `AF_UNSPEC`: dissolves the connection, with RST.
fn disconnect(stream: &Stream) -> Result<()> {
    let _inside = stream.gate.pass();
    if let Phase::Listening(_) = stream.shared.phase() {
        super::listener::stop(stream);
        return Ok(());
    }
    stream.shared.enter(Phase::Idle);
    stream.common().take_error();
    *stream.ends.lock() = Default::default();
    let handle = stream.handle.lock().take();
    drop(handle);
    stream.common().queue.wake_all();
    Ok(())
}
