//! A network link that a test can cut and heal: a TCP proxy on loopback.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    thread,
    time::Duration,
};

/// How often a stalled connection looks whether the link is whole again.
const TICK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct State {
    /// New connections are closed, old ones are cut.
    cut: AtomicBool,
    /// Nothing moves, and nobody is told: what a broken switch looks like.
    stalled: AtomicBool,
    /// Bytes taken up to be passed on.
    bytes: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

impl State {
    fn connections(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link to one address. It lasts as long as the process.
#[derive(Clone)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Link {
    /// A link to `target`, on a port of its own.
    ///
    /// # Errors
    /// If there is no port to listen on.
    pub fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let link = Self { address: listener.local_addr()?, state: Arc::default() };
        let state = link.state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if state.cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target) else { continue };
                let _ = join(&near, &far, &state);
            }
        });
        Ok(link)
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection and refuses new ones.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        for stream in self.state.connections().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets everything stand still, without a word to either side.
    pub fn stall(&self) {
        self.state.stalled.store(true, Ordering::SeqCst);
    }

    /// Works again. Connections that were cut stay cut.
    pub fn heal(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
        self.state.stalled.store(false, Ordering::SeqCst);
    }

    /// Bytes taken up to be passed on so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::SeqCst)
    }
}

fn join(near: &TcpStream, far: &TcpStream, state: &Arc<State>) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    state.connections().extend([near.try_clone()?, far.try_clone()?]);
    for (from, to) in [(near.try_clone()?, far.try_clone()?), (far.try_clone()?, near.try_clone()?)] {
        let state = state.clone();
        thread::spawn(move || {
            // Either way, it ends with the connection.
            let _ = pump(&from, &to, &state);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, state: &State) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        while state.stalled.load(Ordering::SeqCst) {
            thread::sleep(TICK);
        }
        // Counted before they are sent: whoever got the bytes finds them counted.
        state.bytes.fetch_add(length as u64, Ordering::SeqCst);
        to.write_all(buffer.get(..length).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_carries_bytes_until_it_is_cut_and_again_when_healed() {
        let echo = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = echo.local_addr().unwrap();
        thread::spawn(move || {
            for stream in echo.incoming().flatten() {
                thread::spawn(move || io::copy(&mut (&stream), &mut (&stream)));
            }
        });
        let link = Link::to(target).unwrap();
        let ask = || -> io::Result<()> {
            let mut stream = TcpStream::connect(link.address())?;
            stream.write_all(b"ping")?;
            stream.read_exact(&mut [0; 4])
        };
        ask().unwrap();
        assert_eq!(link.bytes(), 8);
        let mut held = TcpStream::connect(link.address()).unwrap();
        held.write_all(b"ping").unwrap();
        held.read_exact(&mut [0; 4]).unwrap();
        link.cut();
        assert!(matches!(held.read(&mut [0; 4]), Ok(0) | Err(_)));
        assert!(ask().is_err());
        link.heal();
        ask().unwrap();
    }
}
