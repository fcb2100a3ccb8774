//! A web server for one folder: `web-rust [FOLDER] [PORT]`, by default `/static` on port 8080.
//!
//! An ordinary Linux program: threads, sockets and files of the standard library, nothing else. Every request asks the
//! filesystem anew, so that an edited file is served as it is now. `http` speaks the protocol, `site` finds the files.

#![forbid(unsafe_code)]

mod http;
mod site;

use std::env;
use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::{Request, Wanted};
use site::Site;

/// A connection without a request for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "/static".to_owned());
    let port = arguments.next().unwrap_or_else(|| "8080".to_owned());
    let Ok(port) = port.parse::<u16>() else {
        eprintln!("web-rust: '{port}' is not a port");
        return ExitCode::FAILURE;
    };
    match serve(Site::new(&folder), port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("web-rust: cannot listen on port {port}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Serves each connection in a thread of its own.
fn serve(site: Site, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("serving {} on port {port} under /static/", site.folder().display());
    let site = Arc::new(site);
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let site = Arc::clone(&site);
        let thread = thread::Builder::new().spawn(move || converse(&site, &stream));
        if let Err(why) = thread {
            eprintln!("web-rust: no thread for a connection: {why}");
        }
    }
    Ok(())
}

/// Answers requests until the client has no more; a client that goes away ends it too.
fn converse(site: &Site, stream: &TcpStream) {
    let ready = stream.set_read_timeout(Some(IDLE_LIMIT)).and_then(|()| stream.set_nodelay(true));
    let mut reader = BufReader::new(stream);
    while ready.is_ok() {
        let (answer, wanted) = match http::read_request(&mut reader) {
            Ok(Request { method: Wanted::Other, after, .. }) => (site::refusal(405), Wanted::Everything.then(after)),
            Ok(request) => (site.answer(&request.path), request.method.then(request.after)),
            Err(http::Bad::Gone) => return,
            Err(http::Bad::Request) => (site::refusal(400), Wanted::Everything.then(http::After::Close)),
        };
        if http::write_answer(stream, answer, wanted).is_err() || wanted.1 == http::After::Close {
            return;
        }
    }
}
