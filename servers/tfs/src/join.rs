//! Waiting for several transfers at once.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use protocol::fs::Result;

/// Ends when all have ended, with the first error if there was one. Nothing is given up early: the
/// memory in the transfers is in use until each of them has ended.
pub async fn all<'a>(futures: Vec<Pin<Box<dyn Future<Output = Result<()>> + 'a>>>) -> Result<()> {
    let mut running: Vec<_> = futures.into_iter().map(Some).collect();
    let mut result = Ok(());
    poll_fn(|cx| {
        let mut pending = false;
        for place in &mut running {
            let Some(future) = place else { continue };
            match future.as_mut().poll(cx) {
                Poll::Pending => pending = true,
                Poll::Ready(outcome) => {
                    *place = None;
                    result = result.and(outcome);
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    result
}
