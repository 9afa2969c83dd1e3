//! What the stream is worth on this host: bytes over loopback, against a receiver that grows a `Vec` until the end.
//!
//! Every run sends the same bytes from one thread and receives them on others, in this process. The baseline carries
//! neither header nor check: it is the fastest that its design can be.

use std::{
    fmt, fs, io,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc, Arc, Mutex, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

use ingot_types::{AggregationRound, BatchId, BatchNumber, ChainId, CircuitId, JobKey, JobKind};
use ingot_wire::{payload_layout, ChunkTag, StreamHeader, Ticket};
use nix::sys::resource::{getrusage, UsageWho};

use crate::{
    send, ExpectError, Expected, Hashing, Received, Receiver, ReceiverConfig, SendError, SendOptions,
    SlabPool, StreamError, TransportChoice,
};

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// No receiver.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// No ticket.
    #[error(transparent)]
    Expect(#[from] ExpectError),
    /// The transfer failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The baseline, or a look at this process, failed.
    #[error("{action}: {source}")]
    Io {
        /// What failed.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What arrived is not what was sent.
    #[error("{0}: what arrived is not what was sent")]
    Different(&'static str),
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// How many bytes to send.
    pub bytes: usize,
    /// Binary logarithm of the chunk size, in bytes.
    pub chunk_log2: u8,
    /// The transports.
    pub transports: Vec<TransportChoice>,
    /// Where chunks are hashed; each transport is measured with each.
    pub hashing: Vec<Hashing>,
    /// Whether to ask for huge pages.
    pub huge_pages: bool,
}

impl BenchOptions {
    /// Both transports, hashing on the I/O thread and on one beside it, chunks of 4 MiB.
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
            chunk_log2: 22,
            transports: vec![TransportChoice::Epoll, TransportChoice::Uring],
            hashing: vec![Hashing::Inline, Hashing::Threads(1)],
            huge_pages: false,
        }
    }
}

/// One way of receiving, measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Time from the connection to the acknowledgement, in seconds.
    pub seconds: f64,
    /// Throughput, in 10^9 bytes a second.
    pub gigabytes_per_second: f64,
    /// Processor time of both ends, in seconds for 10^9 bytes.
    pub cpu_seconds_per_gigabyte: f64,
    /// By how much the resident memory grew at its highest, in bytes.
    pub memory_growth_bytes: u64,
}

/// All rows of one run; the first is the baseline.
#[derive(Clone, Debug)]
pub struct Report {
    /// The measurements.
    pub rows: Vec<Row>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
    /// Throughput of the chunk hash alone on one thread, in 10^9 bytes a second; the stream hashes at both ends.
    pub hash_gigabytes_per_second: f64,
}

impl Report {
    /// The baseline's throughput over that of the fastest stream: how many times faster the stream is.
    pub fn speedup(&self) -> Option<f64> {
        let (baseline, streams) = self.rows.split_first()?;
        let best = streams.iter().map(|row| row.gigabytes_per_second).fold(0.0, f64::max);
        (best > 0.0).then(|| best / baseline.gigabytes_per_second)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>8} {:>8} {:>10} {:>12}", "receiver", "s", "GB/s", "CPU s/GB", "memory +MB")?;
        for row in &self.rows {
            let (s, rate, cpu) = (row.seconds, row.gigabytes_per_second, row.cpu_seconds_per_gigabyte);
            let growth = row.memory_growth_bytes as f64 / 1e6;
            writeln!(f, "{:<32} {s:>8.3} {rate:>8.2} {cpu:>10.2} {growth:>12.1}", row.name)?;
        }
        writeln!(f, "hashing alone, one thread: {:.2} GB/s", self.hash_gigabytes_per_second)?;
        self.left_out.iter().try_for_each(|line| writeln!(f, "left out: {line}"))?;
        match self.speedup() {
            Some(speedup) => write!(f, "fastest stream / baseline: {speedup:.1}"),
            None => write!(f, "no stream was measured"),
        }
    }
}

/// Measures the baseline, then every transport with every way of hashing.
pub fn run(options: &BenchOptions) -> Result<Report, BenchError> {
    let data: Vec<u8> =
        (0..options.bytes).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let hash_gigabytes_per_second = hash_rate(&data);
    let mut report = Report { rows: vec![baseline(&data)?], left_out: Vec::new(), hash_gigabytes_per_second };
    for &transport in &options.transports {
        for &hashing in &options.hashing {
            match stream(&data, options, transport, hashing) {
                Ok(row) => report.rows.push(row),
                Err(BenchError::Stream(error @ StreamError::NoUring(_))) => {
                    report.left_out.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(report)
}

/// Throughput of the chunk hash over (at most 256 MB of) the data, in GB/s.
fn hash_rate(data: &[u8]) -> f64 {
    let data = data.get(..256_000_000).unwrap_or(data);
    let keys = Ticket { id: 0, key: [0; 32] }.stream_keys(&[0; 64]);
    let started = Instant::now();
    for (index, chunk) in data.chunks(4 << 20).enumerate() {
        let mut tag = ChunkTag::new(&keys);
        tag.update(chunk);
        std::hint::black_box(tag.finish(index as u32));
    }
    data.len() as f64 / 1e9 / started.elapsed().as_secs_f64()
}

/// Runs a transfer and measures the process meanwhile.
fn measure(
    name: String,
    bytes: usize,
    transfer: impl FnOnce() -> Result<(), BenchError>,
) -> Result<Row, BenchError> {
    let peak = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
    let before = resident_bytes()?;
    let sampler = {
        let peak = peak.clone();
        thread::spawn(move || {
            while !peak.1.load(Ordering::Acquire) {
                peak.0.fetch_max(resident_bytes().unwrap_or(0), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        })
    };
    let (cpu, started) = (cpu_seconds()?, Instant::now());
    let result = transfer();
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds()? - cpu;
    peak.1.store(true, Ordering::Release);
    let _ = sampler.join();
    result?;
    let gigabytes = bytes as f64 / 1e9;
    Ok(Row {
        name,
        seconds,
        gigabytes_per_second: gigabytes / seconds,
        cpu_seconds_per_gigabyte: cpu / gigabytes,
        memory_growth_bytes: peak.0.load(Ordering::Relaxed).saturating_sub(before),
    })
}

fn cpu_seconds() -> Result<f64, BenchError> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)
        .map_err(|errno| BenchError::Io { action: "cannot read the processor time", source: errno.into() })?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Resident memory of this process, in bytes.
fn resident_bytes() -> Result<u64, BenchError> {
    let error = |source| BenchError::Io { action: "cannot read the resident memory", source };
    let text = fs::read_to_string("/proc/self/status").map_err(error)?;
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.map(|k: u64| k << 10).ok_or_else(|| error(io::ErrorKind::InvalidData.into()))
}

/// Reads into a growing `Vec` until the end of the connection.
fn baseline(data: &[u8]) -> Result<Row, BenchError> {
    let error = |source| BenchError::Io { action: "the baseline failed", source };
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    let transfer = || {
        let receiver = thread::spawn(move || -> io::Result<Vec<u8>> {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut stream = tokio::net::TcpStream::from_std(stream)?;
                let mut received = Vec::new();
                tokio::io::copy(&mut stream, &mut received).await?;
                Ok(received)
            })
        });
        let sent = TcpStream::connect(address).and_then(|mut stream| stream.write_all(data));
        let received = receiver.join().map_err(|_| BenchError::Different("baseline"))?.map_err(error)?;
        sent.map_err(error)?;
        if received.len() != data.len() {
            return Err(BenchError::Different("baseline"));
        }
        Ok(())
    };
    measure("baseline: grow a Vec".to_owned(), data.len(), transfer)
}

fn stream(
    data: &[u8],
    options: &BenchOptions,
    transport: TransportChoice,
    hashing: Hashing,
) -> Result<Row, BenchError> {
    let section_bytes = [0, data.len() as u64, 0];
    let job = JobKey {
        batch: BatchId { chain: ChainId(0), batch: BatchNumber(0) },
        kind: JobKind::Prove,
        round: AggregationRound::Basic,
        circuit_id: CircuitId(0),
        depth: 0,
        sequence: 0,
    };
    let header = StreamHeader { job, lease_token: 1, chunk_log2: options.chunk_log2, section_bytes };
    let slab_bytes = payload_layout(section_bytes).map_or(0, |(_, bytes)| bytes as usize);
    let pool = SlabPool::mmap(1, slab_bytes, options.huge_pages)?;
    let (arrived, received) = mpsc::channel::<Received>();
    let arrived = Mutex::new(arrived);
    let owner = move |received| {
        let _ = arrived.lock().unwrap_or_else(PoisonError::into_inner).send(received);
        Ok(())
    };
    let config = ReceiverConfig { transport, hashing, ..ReceiverConfig::new(([127, 0, 0, 1], 0).into()) };
    let receiver = Receiver::start(config, pool, Arc::new(owner))?;
    let ticket = Ticket::generate()
        .map_err(|_| BenchError::Io { action: "no randomness", source: io::ErrorKind::Other.into() })?;
    let valid_for = Duration::from_secs(600);
    receiver
        .expect(ticket.clone(), Expected { job, lease_token: 1, max_bytes: slab_bytes as u64, valid_for })?;
    let hashing = match hashing {
        Hashing::Inline => "inline".to_owned(),
        Hashing::Threads(threads) => format!("{threads} thread"),
    };
    let name = format!("{}, hashing {hashing}", receiver.transport().name());
    let address = receiver.local_addr().to_string();
    let row = measure(name, data.len(), || {
        send(&address, &ticket, &header, [&[], data, &[]], &SendOptions::default())?;
        Ok(())
    })?;
    match received.recv() {
        Ok(received) if received.section(1) == data => Ok(row),
        _ => Err(BenchError::Different("stream")),
    }
}
