//! One connection: handshake, then control messages or artifacts.

use std::{
    io,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

use ingot_wire::{
    FrameDecoder, FrameEncoder, FrameError, HandshakeError, ServerHandshake, Session, Token,
    CAP_AFTER_HANDSHAKE_BYTES, CAP_BEFORE_HANDSHAKE_BYTES,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::{mpsc, oneshot, Notify},
};

use super::{artifacts, Door, Place};
use crate::{
    artifact_session::ArtifactSession,
    engine::PeerId,
    protocol::{
        Answer, BackupRequest, Channel, Denial, FromHouseKeeper, Registration, Request, ToHouseKeeper,
        VERSION,
    },
};

/// How long a peer may take to read an answer.
const WRITE: Duration = Duration::from_secs(20);
/// Answers are sent together up to this many bytes.
const TOGETHER_BYTES: usize = 256 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("it said nothing in time")]
    Silent,
    #[error("{0}")]
    Refused(String),
}

/// A stream that becomes what its channel needs.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The same connection for a thread that waits.
    type Blocking: io::Read + io::Write + Send + 'static;
    /// Halves for two tasks.
    fn halves(self) -> (impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static);
    /// For a thread, with reads and writes that end after `limit`; and what ends the connection from elsewhere.
    fn blocking(self, limit: Duration) -> io::Result<(Self::Blocking, impl FnMut() + Send + 'static)>;
}

/// The two kinds have the same methods, and no trait that names them.
macro_rules! stream {
    ($asynchronous:ty, $blocking:ty) => {
        impl Stream for $asynchronous {
            type Blocking = $blocking;

            fn halves(
                self,
            ) -> (impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static) {
                self.into_split()
            }

            fn blocking(
                self,
                limit: Duration,
            ) -> io::Result<(Self::Blocking, impl FnMut() + Send + 'static)> {
                let stream = self.into_std()?;
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                let other = stream.try_clone()?;
                // It may be closed already.
                Ok((stream, move || drop(other.shutdown(std::net::Shutdown::Both))))
            }
        }
    };
}

stream!(UnixStream, std::os::unix::net::UnixStream);
stream!(TcpStream, std::net::TcpStream);

/// Serves a connection until it ends. `token` is what the peer has to know; on the Unix socket the kernel knows who it is.
pub(super) async fn serve<S: Stream>(
    mut stream: S,
    door: Arc<Door>,
    token: Option<Token>,
    peer: String,
    place: Place,
) {
    let result = match greet(&mut stream, &door, token).await {
        Ok((session, Channel::Control)) => {
            let (reader, writer) = stream.halves();
            control(reader, writer, session, &door, peer.clone()).await
        }
        Ok((session, Channel::Artifacts)) => match stream.blocking(door.limits.artifact_silence) {
            Ok((stream, shutdown)) => blocking(stream, session, &door, shutdown).await,
            Err(error) => Err(error.into()),
        },
        Err(end) => Err(end),
    };
    ended(&peer, result);
    drop(place);
}

fn ended(peer: &str, result: Result<(), End>) {
    match result {
        Ok(()) => tracing::debug!("{peer}: closed"),
        Err(End::Io(error)) => tracing::debug!("{peer}: {error}"),
        Err(end) => tracing::warn!("{peer}: connection closed: {end}"),
    }
}

/// The handshake, within its time.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    door: &Door,
    token: Option<Token>,
) -> Result<(Session, Channel), End> {
    let shake = async {
        let server = ServerHandshake::new(VERSION..=VERSION, token);
        let (bytes, next) = server.on_hello(&frame(stream).await?);
        stream.write_all(&bytes).await?;
        let session = next?.on_proof(&frame(stream).await?)?;
        let role = session.peer.role;
        let channel =
            Channel::try_from(role).map_err(|_| End::Refused(format!("there is no channel {role}")))?;
        Ok((session, channel))
    };
    tokio::time::timeout(door.limits.handshake, shake).await.unwrap_or(Err(End::Silent))
}

/// The payload of one frame of the handshake.
async fn frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, End> {
    let mut decoder = FrameDecoder::new(CAP_BEFORE_HANDSHAKE_BYTES);
    loop {
        if let Some(payload) = decoder.decode_payload()? {
            return Ok(payload);
        }
        // Nothing beyond the frame.
        let mut part = vec![0; decoder.missing_bytes()?.min(CAP_BEFORE_HANDSHAKE_BYTES as usize)];
        stream.read_exact(&mut part).await?;
        decoder.push(&part)?;
    }
}

/// Where requests about backups are answered: beside the engine, which would stand still while the database is copied.
struct BackupDoor {
    door: Arc<Door>,
    /// Weak: when the engine lets go of the peer, the connection ends.
    outbox: mpsc::WeakUnboundedSender<FromHouseKeeper>,
}

impl BackupDoor {
    fn answer(&self, id: u64, request: BackupRequest) {
        let (backups, outbox) = (self.door.backups.clone(), self.outbox.clone());
        tokio::task::spawn_blocking(move || {
            let result = backups.answer(request);
            if let Some(outbox) = outbox.upgrade() {
                // The peer may be gone; then nothing is kept for it after a while.
                let _ = outbox.send(FromHouseKeeper::Answer { id, result });
            }
        });
    }
}

/// Requests under way on one connection.
#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    fewer: Notify,
}

async fn control<R, W>(
    reader: R,
    writer: W,
    session: Session,
    door: &Arc<Door>,
    origin: String,
) -> Result<(), End>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut encoder = session.encoder(CAP_AFTER_HANDSHAKE_BYTES);
    let registration: Registration = postcard::from_bytes(&session.peer.payload)
        .map_err(|error| End::Refused(format!("its registration cannot be decoded: {error}")))?;
    let name = registration.name.clone();
    let (outbox, inbox) = mpsc::unbounded_channel();
    let (reply, told) = oneshot::channel();
    door.engine.connect(registration, origin, outbox.clone(), move |result| drop(reply.send(result)));
    let mut writer = writer;
    let mut welcome = |result: Result<Answer, Denial>| -> Result<Vec<u8>, End> {
        let mut bytes = Vec::new();
        encoder.encode(&FromHouseKeeper::Answer { id: 0, result }, &mut bytes)?;
        Ok(bytes)
    };
    let peer = match told.await {
        Ok(Ok(peer)) => peer,
        Ok(Err(reason)) => {
            let bytes = welcome(Err(Denial::Refused(reason.clone())))?;
            writer.write_all(&bytes).await?;
            writer.flush().await?;
            return Err(End::Refused(format!("{name} is not let in: {reason}")));
        }
        Err(_) => return Err(End::Refused("the house keeper is stopping".into())),
    };
    let bytes = welcome(Ok(Answer::Done))?;
    writer.write_all(&bytes).await?;
    let under_way = Arc::new(UnderWay::default());
    let writing = tokio::spawn(write(writer, inbox, encoder, under_way.clone()));
    let decoder = session.decoder(CAP_AFTER_HANDSHAKE_BYTES);
    let backups = BackupDoor { door: door.clone(), outbox: outbox.downgrade() };
    drop(outbox);
    let result = read(reader, decoder, (peer, &backups), door, &under_way, writing).await;
    door.engine.disconnect(peer);
    result
}

async fn read<R: AsyncRead + Unpin>(
    mut reader: R,
    mut decoder: FrameDecoder,
    (peer, backups): (PeerId, &BackupDoor),
    door: &Door,
    under_way: &UnderWay,
    mut writing: tokio::task::JoinHandle<Result<(), End>>,
) -> Result<(), End> {
    let mut closing = door.closing.clone();
    let mut buffer = vec![0; 64 << 10];
    loop {
        while let Some(message) = decoder.decode::<ToHouseKeeper>()? {
            if matches!(message, ToHouseKeeper::Request { .. }) {
                while under_way.count.load(Ordering::SeqCst) >= door.limits.requests {
                    tokio::select! {
                        () = under_way.fewer.notified() => {}
                        ended = &mut writing => {
                            return ended.unwrap_or_else(|error| Err(End::Refused(error.to_string())));
                        }
                        () = async { drop(closing.wait_for(|closing| *closing).await) } => {
                            writing.abort();
                            return Ok(());
                        }
                    }
                }
                under_way.count.fetch_add(1, Ordering::SeqCst);
            }
            match message {
                ToHouseKeeper::Request { id, request: Request::Backup(request) } => {
                    backups.answer(id, request);
                }
                message => door.engine.receive(peer, message),
            }
        }
        let length = tokio::select! {
            length = reader.read(&mut buffer) => length?,
            ended = &mut writing => return ended.unwrap_or_else(|error| Err(End::Refused(error.to_string()))),
            () = async { drop(closing.wait_for(|closing| *closing).await) } => {
                // What the engine said last goes out before the connection ends.
                let _ = tokio::time::timeout(Duration::from_millis(200), &mut writing).await;
                writing.abort();
                return Ok(());
            }
        };
        if length == 0 {
            writing.abort();
            return Ok(());
        }
        decoder.push(buffer.get(..length).unwrap_or_default())?;
    }
}

/// Sends what the engine says, several messages together where they have come together.
async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut inbox: mpsc::UnboundedReceiver<FromHouseKeeper>,
    mut encoder: FrameEncoder,
    under_way: Arc<UnderWay>,
) -> Result<(), End> {
    let mut bytes = Vec::new();
    while let Some(first) = inbox.recv().await {
        bytes.clear();
        let mut next = Some(first);
        while let Some(message) = next {
            let id = match &message {
                FromHouseKeeper::Answer { id, .. } => Some(*id),
                FromHouseKeeper::Notice(_) => None,
            };
            if let Err(error) = encoder.encode(&message, &mut bytes) {
                // Too large for a frame: whoever asked is told so.
                let Some(id) = id else { break };
                let denial = Denial::Refused(format!("the answer cannot be sent: {error}"));
                encoder.encode(&FromHouseKeeper::Answer { id, result: Err(denial) }, &mut bytes)?;
            }
            if id.is_some() {
                under_way.count.fetch_sub(1, Ordering::SeqCst);
                under_way.fewer.notify_one();
            }
            next = if bytes.len() < TOGETHER_BYTES { inbox.try_recv().ok() } else { None };
        }
        let written = tokio::time::timeout(WRITE, writer.write_all(&bytes)).await;
        written.unwrap_or(Err(io::ErrorKind::TimedOut.into()))?;
    }
    // The engine has let go of this peer: another connection has taken its place, or the house keeper stops.
    let _ = writer.shutdown().await;
    Ok(())
}

/// Ends a connection when it goes away.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs the artifact channel on a thread of its own, until it ends or the door closes.
async fn blocking<S: io::Read + io::Write + Send + 'static>(
    stream: S,
    session: Session,
    door: &Arc<Door>,
    shutdown: impl FnMut(),
) -> Result<(), End> {
    let (store, largest) = (door.artifacts.clone(), door.limits.largest_artifact_bytes);
    let mut closing = door.closing.clone();
    // A runtime that is shut down drops this future wherever it is, and would then wait for a thread that waits for its peer.
    let end = AtEnd(shutdown);
    let mut serving = tokio::task::spawn_blocking(move || {
        artifacts::serve(&mut ArtifactSession::new(stream, &session), &store, largest)
            .map_err(|error| error.to_string())
    });
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = async { drop(closing.wait_for(|closing| *closing).await) } => None,
    };
    drop(end);
    let ended = match ended {
        Some(ended) => ended,
        None => serving.await,
    };
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Io(io::Error::other(error))),
        Err(error) => Err(End::Refused(error.to_string())),
    }
}
