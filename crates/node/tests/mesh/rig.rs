//! A mesh of daemons in this process, each with a data folder of its own.

use futures::StreamExt;
use pocketmesh_api::{Chunk, Client, Input, JobSummary, Limits, SubmitJob, Update, Verification, Which};
use pocketmesh_node::{Home, Options, Ready, RunError, home::InitOptions, run, sabotage::Sabotage};
use pocketmesh_types::{BlobId, PeerId};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// A safety net: no test waits for this.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The bytes of one of our guest programs.
pub fn guest(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../guests/wasm/{name}.wasm"));
    std::fs::read(path).expect("a built guest")
}

/// A job with two replicas.
pub fn job(program: BlobId, input: Input, args: &[&str]) -> SubmitJob {
    SubmitJob {
        name: "test".into(),
        program,
        args: args.iter().map(|&arg| arg.into()).collect(),
        env: vec![],
        input,
        files: vec![],
        input_name: String::new(),
        reduce: None,
        verification: Verification::Replicas(2),
        max_price: None,
        per_gib: None,
        budget: None,
        limits: Limits::default(),
    }
}

/// One daemon.
pub struct Daemon {
    pub ready: Ready,
    pub folder: TempDir,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RunError>>,
}

/// The same data folder, with programs run in this process: executors cannot be started from a test's binary.
fn in_process(home: &Home) -> Home {
    let text = std::fs::read_to_string(home.config_path()).expect("a configuration");
    let text = text.replace("# executor = \"sealed\"", "executor = \"in-process\"");
    std::fs::write(home.config_path(), text).expect("written");
    Home::open(home.dir()).expect("a data folder")
}

/// Starts a daemon in a folder.
pub async fn start(folder: TempDir, bootstrap: Vec<String>, sabotage: bool) -> Daemon {
    let dir = folder.path().join("peer");
    let home = match Home::open(&dir) {
        Ok(home) => home,
        Err(_) => Home::init(&dir, InitOptions { network: Some("test".into()) }).expect("a data folder"),
    };
    let home = in_process(&home);
    let patience = tokio::time::Instant::now() + LIMIT;
    loop {
        let options = Options {
            home: home.clone(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            bootstrap: bootstrap.clone(),
            mdns: false,
            sabotage: sabotage.then_some(Sabotage::Wrong),
        };
        let (stop, stopped) = oneshot::channel();
        let (tell, ready) = oneshot::channel();
        let on_ready = move |ready: &Ready| drop(tell.send(ready.clone()));
        let ended = tokio::spawn(run(options, on_ready, async move { drop(stopped.await) }));
        if let Ok(ready) = tokio::time::timeout(LIMIT, ready).await.expect("in time") {
            return Daemon { ready, folder, stop, ended };
        }
        match ended.await.expect("no panic") {
            // What a daemon has begun may end after it, in this process, and holds its index until then.
            Err(RunError::Index(_)) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => panic!("the daemon does not start: {other:?}"),
        }
    }
}

impl Daemon {
    /// Stops it in order; its folder stays.
    pub async fn stop(self) -> TempDir {
        drop(self.stop);
        self.ended.await.expect("no panic").expect("a good end");
        self.folder
    }
}

/// Daemons that know one address: the first one's.
pub struct Mesh {
    pub daemons: Vec<Daemon>,
}

impl Mesh {
    /// Honest daemons.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, |_| false).await
    }

    /// Daemons, some of them saboteurs. Returns when all know each other.
    pub async fn start_with(count: usize, sabotage: impl Fn(usize) -> bool) -> Self {
        let mut daemons: Vec<Daemon> = Vec::new();
        for number in 0..count {
            let bootstrap = daemons.first().map(|first| first.ready.addresses[0].clone());
            let folder = tempfile::tempdir().expect("a folder");
            daemons.push(start(folder, bootstrap.into_iter().collect(), sabotage(number)).await);
        }
        let mesh = Self { daemons };
        mesh.all_connected().await;
        mesh
    }

    /// Waits until all know each other.
    pub async fn all_connected(&self) {
        let wanted = self.daemons.len() - 1;
        let all = async {
            for number in 0..self.daemons.len() {
                while self.client(number).status().await.expect("a status").peers < wanted as u32 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        tokio::time::timeout(LIMIT, all).await.expect("all peers find each other");
    }

    /// A client of one daemon.
    pub fn client(&self, number: usize) -> Client {
        Client::new(&self.daemons[number].ready.socket, self.daemons[number].folder.path())
    }

    /// One daemon's name.
    pub fn peer(&self, number: usize) -> PeerId {
        self.daemons[number].ready.peer
    }

    /// Puts bytes into a daemon's store.
    pub async fn upload(&self, number: usize, bytes: &[u8]) -> BlobId {
        let chunks = futures::stream::iter([Ok(Chunk::copy_from_slice(bytes))]).boxed();
        self.client(number).put_blob(chunks).await.expect("stored").id
    }

    /// Runs a job to its end; its last summary, and its standard output.
    pub async fn run(&self, number: usize, job: SubmitJob) -> (JobSummary, Vec<u8>) {
        let client = self.client(number);
        let id = client.submit(&job).await.expect("taken on").id.to_string();
        let summary = finish(&client, &id).await;
        let chunks = client.job_stdout(&id, Which::Final).await.expect("a result");
        let stdout = chunks.map(|chunk| chunk.expect("bytes").to_vec()).collect::<Vec<_>>().await.concat();
        (summary, stdout)
    }
}

/// Follows a job to its last summary.
pub async fn finish(client: &Client, id: &str) -> JobSummary {
    let follow = async {
        let mut updates = client.job_events(id).await.expect("updates");
        let mut last = None;
        while let Some(update) = updates.next().await {
            if let Update::Progress(summary) = update.expect("an update") {
                last = Some(summary);
            }
        }
        last.expect("at least one snapshot")
    };
    match tokio::time::timeout(LIMIT, follow).await {
        Ok(summary) => summary,
        Err(_) => panic!("not finished in time: {:#?}", client.job(id).await),
    }
}
