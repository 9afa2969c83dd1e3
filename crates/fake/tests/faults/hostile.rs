//! A storm of hostile connections against the house keeper's TCP port and a prover's stream port while batches are proved:
//! it costs those connections, and nothing else.
//!
//! `INGOT_HOSTILE` (default 100) is how many connections each port gets.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    thread,
    time::Duration,
};

use ingot_artifacts::{ArtifactRef, Artifacts as _, Blake3};
use ingot_house_keeper::{
    client::{Address, RemoteArtifacts},
    protocol::{Channel, VERSION},
};
use ingot_services::component::ComponentName;
use ingot_wire::{client_handshake, Hello, Token};
use rand::{Rng as _, RngCore as _};
use rand_chacha::ChaCha8Rng;

use crate::support::{env_number, for_seeds, large, wait_for, Cluster};

/// How many connections are open at once.
const AT_ONCE: usize = 8;
/// How long a connection is held that says nothing more: longer than a handshake may take.
const STALL: Duration = Duration::from_secs(6);
/// Files that a process may have open beyond those at the start: other workers' artifact connections come and go.
const SPARE_FILES: usize = 12;

/// What a connection does to a port.
#[derive(Clone, Copy, Debug)]
enum Trick {
    /// Random bytes.
    Garbage,
    /// A good beginning that is cut off, and closed.
    Truncated,
    /// The same, and silence.
    Stalled,
    /// A frame that says that it is 4 GiB long.
    Oversized,
    /// A handshake with another token.
    WrongToken,
    /// Closed for writing at once, and never read.
    HalfOpen,
    /// Nothing at all, and closed.
    Nothing,
}

const TRICKS: [Trick; 7] = [
    Trick::Garbage,
    Trick::Truncated,
    Trick::Stalled,
    Trick::Oversized,
    Trick::WrongToken,
    Trick::HalfOpen,
    Trick::Nothing,
];

/// The hello of a peer that means well.
fn hello(role: u8, payload: Vec<u8>) -> Hello {
    Hello { min_version: VERSION, max_version: VERSION, role, name: "hostile".into(), payload }
}

/// Records what a handshake would send first.
struct Recorder(Vec<u8>);

impl io::Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Recorder {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

fn beginning(token: &Token) -> Vec<u8> {
    let mut recorder = Recorder(Vec::new());
    // It ends where the other side should answer.
    let _ = client_handshake(&mut recorder, hello(Channel::Control as u8, vec![1, 2, 3]), Some(token));
    assert!(recorder.0.len() > 40);
    recorder.0
}

/// Does it. Whatever the port answers, or that it closes, is all right: errors are expected.
fn play(trick: Trick, port: SocketAddr, rng: &mut ChaCha8Rng, wrong: &Token) -> io::Result<()> {
    let mut stream = TcpStream::connect(port)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    let good = beginning(wrong);
    match trick {
        Trick::Garbage => {
            let mut bytes = vec![0; rng.gen_range(1..100_000)];
            rng.fill_bytes(&mut bytes);
            stream.write_all(&bytes)?;
            stream.read_exact(&mut [0; 1 << 10])
        }
        Trick::Truncated => stream.write_all(&good[..rng.gen_range(1..good.len())]),
        Trick::Stalled => {
            stream.write_all(&good[..rng.gen_range(1..good.len())])?;
            thread::sleep(STALL);
            Ok(())
        }
        Trick::Oversized => {
            stream.write_all(&[0xff; 64])?;
            stream.read_exact(&mut [0; 1 << 10])
        }
        Trick::WrongToken => {
            let role = if rng.gen() { Channel::Control } else { Channel::Artifacts };
            let error = client_handshake(&mut stream, hello(role as u8, vec![]), Some(wrong)).map(drop);
            assert!(error.is_err(), "a wrong token was taken");
            Ok(())
        }
        Trick::HalfOpen => {
            stream.shutdown(Shutdown::Write)?;
            thread::sleep(Duration::from_millis(rng.gen_range(0..500)));
            Ok(())
        }
        Trick::Nothing => Ok(()),
    }
}

fn storm(port: SocketAddr, count: u64, mut rng: ChaCha8Rng, wrong: &Token) {
    let lanes: Vec<ChaCha8Rng> =
        (0..AT_ONCE).map(|_| rand::SeedableRng::seed_from_u64(rng.next_u64())).collect();
    thread::scope(|scope| {
        for (lane, mut rng) in lanes.into_iter().enumerate() {
            scope.spawn(move || {
                for n in (lane as u64..count).step_by(AT_ONCE) {
                    let trick = TRICKS[(n as usize + rng.gen_range(0..TRICKS.len())) % TRICKS.len()];
                    let _ = play(trick, port, &mut rng, wrong);
                }
            });
        }
    });
}

/// Files that a process has open.
fn open_files(cluster: &mut Cluster, name: &str) -> usize {
    let pid = cluster.node(name).pid().unwrap();
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn a_storm_of_hostile_connections() {
    for_seeds(|mut rng| {
        let mut cluster = Cluster::new();
        cluster.max_attempts = 1;
        let secret = |name: &str, text: &str| {
            let path = cluster.folder().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let token = secret("token", "a token of sufficient length");
        let wrong = Token::load(&secret("wrong", "another token of good length")).unwrap();
        let (control, receiver) = (cluster.at(3000), cluster.at(3300));
        cluster.node("hk").set("house-keeper.token-file", token.display());
        cluster.add(ComponentName::WitnessGenerator, "wg");
        cluster.add(ComponentName::WitnessVectorGenerator, "wvg");
        cluster.add(ComponentName::CircuitProver, "prover").set("circuit-prover.listen", receiver);
        for name in ["wg", "wvg", "prover"] {
            cluster
                .node(name)
                .set("host.house-keeper", format!("tcp:{control}"))
                .set("host.token-file", token.display());
        }
        cluster.start_all();
        (1..=3).for_each(|seed| cluster.submit(&large(seed)));
        cluster.wait("work", |cluster| cluster.done() >= 3);
        let before = ["hk", "prover"].map(|name| open_files(&mut cluster, name));
        let count = env_number("INGOT_HOSTILE", 100);
        let seeds: [ChaCha8Rng; 2] = [0, 1].map(|_| rand::SeedableRng::seed_from_u64(rng.next_u64()));
        thread::scope(|scope| {
            for (port, rng) in [control, receiver].into_iter().zip(seeds) {
                let wrong = &wrong;
                scope.spawn(move || storm(port, count, rng, wrong));
            }
        });
        cluster.all_alive();
        // Whoever has the token is served as before, and who has not, is not.
        let artifact = ArtifactRef { hash: Blake3::of(b"none"), size_bytes: 4 };
        let ask = |token: Option<Token>| {
            let address = Address::Tcp(control.to_string());
            RemoteArtifacts::new(address, token, "test", Duration::ZERO).contains(&artifact)
        };
        assert!(!ask(Some(Token::load(&token).unwrap())).unwrap());
        assert!(ask(Some(wrong)).is_err());
        assert!(ask(None).is_err());
        let audit = cluster.finish();
        assert_eq!((audit.failed_attempts, audit.completed_again), (0, 0));
        let mut after = [0; 2];
        for (index, name) in ["hk", "prover"].into_iter().enumerate() {
            wait_for("connections to be closed", || {
                after[index] = open_files(&mut cluster, name);
                (after[index] <= before[index] + SPARE_FILES).then_some(())
            });
        }
        eprintln!("{count} hostile connections to each port; open files {before:?} before, {after:?} after");
        // One more batch: nothing was used up.
        cluster.submit(&large(4));
        cluster.finish();
    });
}
