//! Says hello on both outputs, shows its arguments and one variable, uses threads, channels, a timed wait and a
//! directory, and ends as its first argument asks: `exit N`, `panic`, `abort`.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    println!("hello, world");
    let arguments: Vec<String> = env::args().skip(1).collect();
    for (number, argument) in arguments.iter().enumerate() {
        println!("argument {}: {argument}", number + 1);
    }
    println!("GREETING={}", env::var("GREETING").unwrap_or_default());
    println!("threads: {}", sum());
    println!("timed wait: {}", timed_wait());
    eprintln!("a word on stderr");
    match (arguments.first().map(String::as_str), arguments.get(1)) {
        (Some("exit"), Some(status)) => std::process::exit(status.parse().unwrap_or(100)),
        (Some("panic"), _) => panic!("as asked"),
        (Some("abort"), _) => std::process::abort(),
        _ => {}
    }
}

/// Sums in eight threads that share a map and report through a channel.
fn sum() -> u64 {
    let shared = Arc::new(Mutex::new(BTreeMap::new()));
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..8_u64)
        .map(|number| {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            thread::spawn(move || {
                let sum: u64 = (0..=1000).map(|value| value * number).sum();
                shared.lock().unwrap().insert(number, sum);
                sender.send(sum).unwrap();
            })
        })
        .collect();
    drop(sender);
    let received: u64 = receiver.iter().sum();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(shared.lock().unwrap().values().sum::<u64>(), received);
    received
}

/// Whether a wait that nobody ends takes its time and no more than a lot.
fn timed_wait() -> bool {
    let pair = (Mutex::new(false), Condvar::new());
    let started = Instant::now();
    let (_guard, result) = pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(30)).unwrap();
    let took = started.elapsed();
    result.timed_out() && took >= Duration::from_millis(30) && took < Duration::from_secs(5)
}
