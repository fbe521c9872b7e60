//! Peers that do not play by the rules: a bare libp2p swarm that speaks just enough to be let in.

use crate::node::{NET, Node, config, pair};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_stream::IncomingStreams;
use pocketmesh_network::{Event, Misbehaviour, SendError};
use pocketmesh_types::limits::MESSAGE_BYTES_MAX;
use std::time::Duration;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle, time::timeout};

const DIRECT: StreamProtocol = StreamProtocol::new("/pocketmesh/test/direct/1");

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A swarm under the test's control, running in a task.
struct Hostile {
    id: pocketmesh_types::PeerId,
    streams: libp2p_stream::Control,
    incoming: IncomingStreams,
    swarm: JoinHandle<()>,
}

impl Hostile {
    /// Connects to `address` and says that it is a peer of network `test`.
    fn connect(address: Multiaddr, key: &Keypair) -> Self {
        let mut swarm = swarm(key);
        let mut streams = swarm.behaviour().streams.new_control();
        let incoming = streams.accept(DIRECT).expect("accepted once");
        swarm.dial(address).expect("an address");
        let id = pocketmesh_types::PeerId::from_multihash(&key.public().to_peer_id().to_bytes()).expect("ed25519");
        let swarm = tokio::spawn(async move { while swarm.next().await.is_some() {} });
        Self { id, streams, incoming, swarm }
    }

    async fn open(&mut self, node: &Node) -> libp2p::Stream {
        let peer = PeerId::from_bytes(&node.id().to_multihash()).expect("a peer id");
        self.streams.open_stream(peer, DIRECT).await.expect("it accepts messages")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

fn swarm(key: &Keypair) -> Swarm<Behaviour> {
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/pocketmesh/test/1".into(), key.public())),
            streams: libp2p_stream::Behaviour::new(),
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(NET))
        .build()
}

/// The honest pair still talks.
async fn still_talk(a: &mut Node, b: &mut Node) {
    a.handle.send(b.id(), b"still there?".to_vec()).expect("queued");
    assert_eq!(b.message().await, (a.id(), b"still there?".to_vec()));
}

#[tokio::test]
async fn an_oversized_frame_ends_the_connection_and_the_peer_is_refused() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let key = Keypair::generate_ed25519();
    let mut hostile = Hostile::connect(a.bare_address(), &key);
    a.until_connected(hostile.id).await;
    let mut stream = hostile.open(&a).await;
    stream.write_all(&(MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes()).await.expect("written");
    stream.flush().await.expect("sent");
    let (peer, reason) = a
        .until(|event| match event {
            Event::Misbehaved { peer, reason } => Some((peer, reason)),
            _ => None,
        })
        .await;
    assert_eq!((peer, reason), (hostile.id, Misbehaviour::OversizedFrame { bytes: MESSAGE_BYTES_MAX + 1 }));
    a.until_disconnected(hostile.id).await;

    let mut again = Hostile::connect(a.bare_address(), &key);
    // The connection closes again before a stream can be used.
    let peer = PeerId::from_bytes(&a.id().to_multihash()).expect("a peer id");
    let served = async {
        let mut stream = again.streams.open_stream(peer, DIRECT).await.ok()?;
        stream.read(&mut [0]).await.ok().filter(|bytes| *bytes > 0)
    };
    assert_eq!(timeout(NET, served).await.expect("an end before the net"), None);
    still_talk(&mut a, &mut b).await;
    assert!(!a.connected.contains(&hostile.id));
}

#[tokio::test]
async fn frames_before_the_oversized_one_are_delivered_and_halves_are_not() {
    let mut a = Node::start(config(1)).await;
    let mut hostile = Hostile::connect(a.bare_address(), &Keypair::generate_ed25519());
    a.until_connected(hostile.id).await;
    let mut stream = hostile.open(&a).await;
    stream.write_all(b"\0\0\0\x02ok\0\0\0\x09half").await.expect("written");
    stream.close().await.expect("closed");
    assert_eq!(a.message().await, (hostile.id, b"ok".to_vec()));
    a.until_disconnected(hostile.id).await;
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_while_the_connection_lives() {
    let mut a = Node::start(config(1)).await;
    let mut hostile = Hostile::connect(a.bare_address(), &Keypair::generate_ed25519());
    let (_, first) = hostile.incoming.next().await.expect("a stream");
    a.until_connected(hostile.id).await;
    let mut mine = hostile.open(&a).await;
    mine.close().await.expect("closed");
    drop((mine, first));
    a.until_disconnected(hostile.id).await;
    a.until_connected(hostile.id).await;
    a.handle.send(hostile.id, b"again".to_vec()).expect("queued");
    let (_, mut second) = hostile.incoming.next().await.expect("another stream");
    let mut frame = [0; 9];
    second.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(&frame, b"\0\0\0\x05again");
}

#[tokio::test]
async fn a_peer_that_never_reads_is_disconnected_when_its_queue_is_full() {
    let mut a = Node::start(config(1)).await;
    let mut hostile = Hostile::connect(a.bare_address(), &Keypair::generate_ed25519());
    let (_, _unread) = hostile.incoming.next().await.expect("a stream");
    a.until_connected(hostile.id).await;
    let mut accepted = 0;
    let refused = loop {
        match a.handle.send(hostile.id, vec![0; 64 << 10]) {
            Ok(()) => accepted += 64 << 10,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, SendError::TooSlow);
    // The queue, what the peer's windows take, and what is being written.
    assert!(accepted <= 64 * MESSAGE_BYTES_MAX, "{accepted} bytes were taken for a peer that reads none");
    a.until_disconnected(hostile.id).await;
    assert_eq!(a.handle.send(hostile.id, vec![0]), Err(SendError::NotConnected));
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_disconnected_after_a_while() {
    let mut patient = config(1);
    patient.limits.write_stall = Duration::from_millis(200);
    let mut a = Node::start(patient).await;
    let mut hostile = Hostile::connect(a.bare_address(), &Keypair::generate_ed25519());
    let (_, _unread) = hostile.incoming.next().await.expect("a stream");
    a.until_connected(hostile.id).await;
    (0..8).for_each(|_| a.handle.send(hostile.id, vec![0; MESSAGE_BYTES_MAX]).expect("queued"));
    a.until_disconnected(hostile.id).await;
}

#[tokio::test]
async fn a_peer_that_never_says_who_it_is_is_disconnected() {
    let mut impatient = config(1);
    impatient.limits.identify_within = Duration::from_millis(200);
    let a = Node::start(impatient).await;
    let mut mute = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|_| ping::Behaviour::default())
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(2 * NET))
        .build();
    mute.dial(a.bare_address()).expect("an address");
    let closed = async { while !matches!(mute.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {} };
    timeout(NET, closed).await.expect("closed before the net");
}

#[tokio::test]
async fn garbage_and_half_open_connections_harm_nobody() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let socket: std::net::SocketAddr = {
        let text = a.bare_address().to_string();
        let port = text.rsplit('/').next().expect("a port");
        format!("127.0.0.1:{port}").parse().expect("a socket address")
    };
    let mut half_open = Vec::new();
    for n in 0..20u8 {
        let mut connection = TcpStream::connect(socket).await.expect("it listens");
        if n % 2 == 0 {
            // The other end may hang up in the middle of this; that is as good.
            let _ = connection.write_all(&[n; 4096]).await;
        }
        half_open.push(connection);
    }
    still_talk(&mut a, &mut b).await;
    let c = Node::start(config(3)).await;
    assert_eq!(c.handle.dial(a.bare_address()).await, Ok(a.id()));
}
