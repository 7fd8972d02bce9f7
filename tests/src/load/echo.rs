//! The floor: a server that does nothing but answer each frame with a fixed number of bytes, on the same runtime and
//! with one task per connection, one read and one write per turn.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connection::HEADER_BYTES;

const OPCODE_STARTUP: u8 = 0x01;
const OPCODE_READY: u8 = 0x02;
const OPCODE_RESULT: u8 = 0x08;
const RESPONSE_VERSION: u8 = 0x84;

/// Serves on a free loopback port until it is killed; prints the ready line of `tholos serve`. Answers have
/// `response_bytes`, header included.
///
/// # Errors
/// When no port can be had.
pub fn serve(response_bytes: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        println!("drivers connect to {address}, metrics at http://{address}/none");
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A connection ends when its client closes it; there is nobody to tell.
                let _ = answer(socket, response_bytes).await;
            });
        }
    })
}

async fn answer(mut socket: TcpStream, response_bytes: usize) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let body = vec![0_u8; response_bytes.saturating_sub(HEADER_BYTES)];
    let mut input = Vec::with_capacity(64 * 1024);
    let mut output = Vec::with_capacity(64 * 1024);
    loop {
        if socket.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let mut at = 0;
        while let Some(header) = input.get(at..at + HEADER_BYTES) {
            let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize;
            if input.len() < at + HEADER_BYTES + length {
                break;
            }
            let startup = header[4] == OPCODE_STARTUP;
            let body = if startup { &[] } else { body.as_slice() };
            output.extend_from_slice(&[RESPONSE_VERSION, 0, header[2], header[3]]);
            output.push(if startup { OPCODE_READY } else { OPCODE_RESULT });
            output.extend_from_slice(&(body.len() as u32).to_be_bytes());
            output.extend_from_slice(body);
            at += HEADER_BYTES + length;
        }
        input.drain(..at);
        socket.write_all(&output).await?;
        output.clear();
    }
}
