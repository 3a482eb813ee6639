//! Blocking calls of a client.

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// A read of files, or a lookup of a name, on a blocking thread. If the file system or the resolver
/// hangs, later requests wait for the same call instead of occupying one more thread each.
pub(super) struct Reading<T>(pub(super) Option<JoinHandle<T>>);

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Reading<T> {
    pub(super) async fn run(
        &mut self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // What came too late for an earlier call may be out of date.
        self.0.take_if(|earlier| earlier.is_finished());
        let result = self.0.get_or_insert_with(|| spawn_blocking(read)).await;
        self.0 = None;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answer_to_an_earlier_call_is_not_used() {
        let mut reading = Reading(Some(tokio::spawn(async { 1 })));
        while !reading.0.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(reading.run(|| 2).await.unwrap(), 2);
    }
}
