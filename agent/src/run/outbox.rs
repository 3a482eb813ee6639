//! Bytes to send.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The frames that a connection has to send.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The frames. Append to them; [`Outbox::flush`] removes them.
    pub(super) frames: Vec<u8>,
    /// Number of their bytes that are written.
    written: usize,
}

impl Outbox {
    /// Returns whether everything is sent.
    pub(super) const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Sends everything. Cancel-safe: the next call continues.
    pub(super) async fn flush(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while let Some(rest) = self.frames.get(self.written..)
            && !rest.is_empty()
        {
            match stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        // TLS has accepted bytes that the socket may not have.
        stream.flush().await?;
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
