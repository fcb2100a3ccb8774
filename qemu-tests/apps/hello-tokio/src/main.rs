//! Says hello from tokio's threads: timers that end in order, many tasks, an echo over local connections, and blocking
//! work beside it.

#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at the same time.
const CLIENTS: usize = 16;

#[tokio::main(worker_threads = 4)]
async fn main() -> io::Result<()> {
    println!("hello, world");
    println!("timers: {:?}", timers().await);
    println!("tasks: {}", tasks().await);
    println!("echo: {}", echo().await?);
    println!("blocking: {}", tokio::task::spawn_blocking(|| (1..=10).product::<u64>()).await?);
    println!("timeout: {}", timeout(Duration::from_millis(20), std::future::pending::<()>()).await.is_err());
    eprintln!("a word on stderr");
    Ok(())
}

/// The order in which three timers end, and that none was early.
async fn timers() -> Vec<u64> {
    let (sender, mut ended) = mpsc::channel(8);
    for ms in [90, 30, 60] {
        let sender = sender.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            sleep(Duration::from_millis(ms)).await;
            assert!(started.elapsed() >= Duration::from_millis(ms));
            sender.send(ms).await.unwrap();
        });
    }
    drop(sender);
    let mut order = Vec::new();
    while let Some(ms) = ended.recv().await {
        order.push(ms);
    }
    order
}

/// A sum over a thousand tasks that all give way once.
async fn tasks() -> u64 {
    let mut set = JoinSet::new();
    for number in 0..1000 {
        set.spawn(async move {
            tokio::task::yield_now().await;
            number
        });
    }
    set.join_all().await.into_iter().sum()
}

/// Bytes that came back over local connections.
async fn echo() -> io::Result<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            let sent = vec![number as u8; 10_000];
            let (mut from, mut to) = stream.split();
            let (written, received) = tokio::join!(
                async {
                    to.write_all(&sent).await?;
                    to.shutdown().await
                },
                async {
                    let mut received = Vec::new();
                    from.read_to_end(&mut received).await.map(|_| received)
                }
            );
            written?;
            Ok::<_, io::Error>(received?.iter().filter(|byte| **byte == number as u8).count())
        });
    }
    let mut bytes = 0;
    while let Some(result) = clients.join_next().await {
        bytes += result??;
    }
    server.abort();
    Ok(bytes)
}
