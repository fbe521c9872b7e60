//! `demo`: the whole story in one command. Real processes find each other, share out a picture, one of them cheats and is
//! caught, and the picture is compared with one computed here.

mod mandelbrot;
mod picture;
mod story;

use super::{job, run::follow};
use crate::cli::Demo;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::mesh::{Child, Mesh, Plan};
use crate::sources::Program;
use crate::wait;
use futures::TryStreamExt;
use mandelbrot::{ROWS, SIZE, TASKS};
use pocketmesh_api::{Client, Input, JobDetail, Limits, SubmitJob};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The guest program, as it is in the repository.
const PROGRAM: &[u8] = include_bytes!("../../../../crates/guests/wasm/mandelbrot.wasm");
/// The file that the demo leaves.
const PICTURE: &str = "mandelbrot.png";
/// Peers on one machine that have not met by then will not.
const MEET_WITHIN: Duration = Duration::from_secs(30);
/// Peers on one machine stop looking for more neighbours at some point.
const NEIGHBOURS_ENOUGH: usize = 8;
/// The job's own peer: neither the one that introduces the others nor the cheat.
const REQUESTER: usize = 1;

/// Runs it.
pub async fn run(context: &Context, args: Demo) -> Outcome {
    if !args.out.is_dir() {
        return Err(Error::usage(format!("the folder {} does not exist: name one with --out", args.out.display())));
    }
    let native = tokio::task::spawn_blocking(|| {
        let start = Instant::now();
        (mandelbrot::escape_times(), start.elapsed())
    });
    let mut interrupted = Box::pin(wait::interrupted().map_err(Error::failed)?);
    context.note(format!("1  starting {} peers, each a process of its own that is told one address…", args.peers));
    let plan = Plan::new(args.peers, 1, None)?;
    let mesh = tokio::select! {
        mesh = Mesh::start(plan) => mesh?,
        () = &mut interrupted => return Err(Error::failed("interrupted")),
    };
    let ended = tokio::select! {
        ended = show(context, &mesh, native, &args.out) => ended,
        () = interrupted => Err(Error::failed("interrupted")),
    };
    mesh.stop().await;
    ended
}

type Native = JoinHandle<(Vec<u16>, Duration)>;

async fn show(context: &Context, mesh: &Mesh, native: Native, out: &Path) -> Outcome {
    let wanted = NEIGHBOURS_ENOUGH.min(mesh.peers().len() - 1);
    let took = mesh.meet(wanted, MEET_WITHIN).await?;
    context.note(story::acquaintances(mesh, &mesh.acquaintances().await?, took));

    let requester = &mesh.peers()[REQUESTER];
    context.note(format!("2  peer-{REQUESTER} offers a job: the Mandelbrot set, {TASKS} tiles, each run by 2 peers"));
    let start = Instant::now();
    let id = submit(&requester.client).await?;
    let last = follow::follow(context, &requester.client, &id).await?;
    let took = start.elapsed();
    if !last.state.has_result() {
        return Err(Error::failed(format!("the job ended as {}", job::standing(&last))));
    }
    let detail = requester.client.job(&id).await?;
    context.note(story::market(&detail, took));
    story::table(context, mesh, &detail)?;

    let rendered = fetch(&requester.client, &id).await?;
    let (native, alone) = native.await.map_err(Error::failed)?;
    let identical = leave_picture(&rendered, &native, &out.join(PICTURE))?;
    context.note(story::verdict(&out.join(PICTURE), identical, alone));
    conclude(identical, caught(mesh.peers(), &detail))
}

async fn submit(client: &Client) -> Result<String, Error> {
    let program = Program::embedded("mandelbrot", PROGRAM).upload(client).await?.id;
    let job = SubmitJob {
        name: "mandelbrot".into(),
        program,
        args: vec!["{index}".into(), SIZE.to_string(), ROWS.to_string()],
        env: Vec::new(),
        files: Vec::new(),
        input_name: String::new(),
        input: Input::Range { start: 0, end: TASKS.into() },
        reduce: None,
        replicas: 2,
        max_price: None,
        limits: Limits::default(),
    };
    Ok(client.submit(&job).await?.id.to_string())
}

/// The tiles, joined in task order: 16-bit little-endian escape times, row-major.
async fn fetch(client: &Client, id: &str) -> Result<Vec<u16>, Error> {
    let bytes = client.job_stdout(id).await?.try_fold(Vec::new(), |mut bytes, chunk| async move {
        bytes.extend_from_slice(&chunk);
        Ok(bytes)
    });
    let bytes = bytes.await.map_err(|error| Error::failed(format!("the result broke off: {error}")))?;
    let pairs = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let pixels = (SIZE * SIZE) as usize;
    if bytes.len() == 2 * pixels {
        Ok(pairs.collect())
    } else {
        Err(Error::failed(format!(
            "the result has {} bytes; a picture of {pixels} pixels needs twice that",
            bytes.len()
        )))
    }
}

/// Writes the mesh's picture, reads it back and compares it with the native one, pixel for pixel.
fn leave_picture(rendered: &[u16], native: &[u16], path: &Path) -> Result<bool, Error> {
    let cannot = |error| Error::failed(format!("cannot write {}: {error}", path.display()));
    picture::write(path, SIZE, &picture::colours(rendered)).map_err(cannot)?;
    let read = picture::read(path).map_err(cannot)?;
    Ok(rendered == native && read == picture::colours(native))
}

/// Whether every cheat that delivered anything was caught, and at least one was.
fn caught(peers: &[Child], detail: &JobDetail) -> bool {
    let voided = |peer: &&Child| detail.workers.iter().any(|row| row.peer == peer.peer && row.voided > 0);
    let honest_voided = peers.iter().filter(|peer| !peer.saboteur).any(|peer| voided(&peer));
    peers.iter().filter(|peer| peer.saboteur).any(|peer| voided(&peer)) && !honest_voided
}

fn conclude(identical: bool, caught: bool) -> Outcome {
    match (identical, caught) {
        (true, true) => Ok(Exit::Complete),
        (false, _) => Err(Error::failed("the picture differs from the one computed here")),
        (true, false) => Err(Error::failed("the saboteur was not caught, or an honest peer was blamed")),
    }
}
