//! An attacker's connection: sends arbitrary bytes and reads the collector's answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fleetgauge_agent::client::code_reason;
use fleetgauge_proto::{Accept, FrameBuffer, Message, VERSION};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Outcome of an attack that receives a Welcome. The outcome of a Reject is named after its code.
pub(super) const WELCOMED: &str = "welcomed";
/// Outcome of an attack that receives neither Welcome nor Reject.
pub(super) const NOTHING: &str = "nothing";

/// A connection of an attacker.
pub(super) struct AttackConnection {
    stream: TcpStream,
    frames: FrameBuffer,
    received: Vec<u8>,
}

impl AttackConnection {
    /// Connects from this source address.
    pub(super) async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        // Close with RST, so that no port stays in TIME_WAIT.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Self { stream, frames: FrameBuffer::default(), received: Vec::new() })
    }

    /// Sends the bytes as far as the collector accepts them.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        // The answer is read even if not everything could be sent.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends Hello and waits for Welcome. Returns any other answer as an error.
    pub(super) async fn handshake(&mut self, hello: &[u8]) -> Result<(), &'static str> {
        self.send(hello).await;
        match self.receive().await {
            WELCOMED => Ok(()),
            other => Err(other),
        }
    }

    /// Sends the bytes one at a time, until the collector answers.
    pub(super) async fn send_slowly(&mut self, bytes: &[u8], every: Duration) -> &'static str {
        for byte in bytes {
            self.send(std::slice::from_ref(byte)).await;
            if let Ok(answer) = tokio::time::timeout(every, self.receive()).await {
                return answer;
            }
        }
        self.receive().await
    }

    /// Waits for the collector's answer and returns its name. Skips other frames.
    pub(super) async fn receive(&mut self) -> &'static str {
        loop {
            if let Some(answer) = self.take_answer() {
                return answer;
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(read) if read > 0 => {}
                _ => return NOTHING,
            }
        }
    }

    /// Takes the first answer from the received bytes.
    fn take_answer(&mut self) -> Option<&'static str> {
        let accept = Accept { version: VERSION, max_payload_bytes: 16 * 1024 };
        let received = std::mem::take(&mut self.received);
        let mut input = received.as_slice();
        let mut answer = None;
        while let Ok(Some(frame)) = self.frames.next(&mut input, accept) {
            match Message::decode(frame) {
                Ok(Message::Welcome(_)) => answer = Some(WELCOMED),
                Ok(Message::Reject(reject)) => answer = Some(code_reason(reject.code)),
                _ => continue,
            }
            break;
        }
        self.received = input.to_vec();
        answer
    }
}
