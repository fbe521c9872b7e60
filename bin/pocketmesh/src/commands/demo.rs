//! `demo`: the whole story in one command. Real processes find each other, share out a picture, some of them cheat and are
//! caught, the proofs of it are replayed, and the picture is compared with one computed here.

mod mandelbrot;
mod picture;
mod story;

use super::{job, receipts, run::follow};
use crate::cli::Demo;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::mesh::{Child, Mesh, Plan};
use crate::sources::Program;
use crate::wait;
use futures::TryStreamExt;
use mandelbrot::{ROWS, SIZE, TASKS};
use pocketmesh_api::{Client, Input, JobDetail, Limits, SubmitJob, Submitted, Verification, Which};
use pocketmesh_node::Home;
use pocketmesh_node::home::Sandbox;
use pocketmesh_node::proofs::{self, Shelf, Verdict};
use pocketmesh_types::PeerId;
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
/// Rounds until every saboteur has had a seat: each leaves out one in three.
const ROUNDS_MAX: usize = 12;
/// Proofs that are not there by then were not written.
const PROOFS_WITHIN: Duration = Duration::from_secs(10);
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
    let plan = Plan::new(args.peers, &args.cheats, 1, args.dir)?;
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
    let (native, alone) = native.await.map_err(Error::failed)?;
    let (mut details, mut identical) = (Vec::new(), true);
    // Seats are drawn: in a larger mesh somebody may get none in the first round.
    while details.len() < ROUNDS_MAX && story::unseated_saboteur(mesh, &details) {
        let again = if details.is_empty() { "" } else { ", once more: a saboteur had no occasion yet" };
        context.note(format!("2  peer-{REQUESTER} offers a job{again}: the Mandelbrot set, {TASKS} tiles"));
        let (rendered, detail) = round(context, requester).await?;
        identical &= leave_picture(&rendered, &native, &out.join(PICTURE))?;
        details.push(detail);
    }
    let proofs = proofs(requester, &details).await?;
    let books = mesh.books().await;
    story::table(context, mesh, &details, &proofs, &books)?;
    context.note(story::verdict(&out.join(PICTURE), identical, alone));
    conclude(identical, caught(mesh.peers(), &details), &proofs)
}

/// Runs the job once: the picture, and how it came to be.
async fn round(context: &Context, requester: &Child) -> Result<(Vec<u16>, JobDetail), Error> {
    let start = Instant::now();
    let submitted = submit(&requester.client).await?;
    context.note(format!("promised: {}", submitted.promise.text));
    let id = submitted.id.to_string();
    let last = follow::follow(context, &requester.client, &id, Which::Final).await?;
    if !last.state.has_result() {
        return Err(Error::failed(format!("the job ended as {}", job::standing(&last))));
    }
    let detail = requester.client.job(&id).await?;
    context.note(story::market(&detail, start.elapsed()));
    Ok((fetch(&requester.client, &id).await?, detail))
}

async fn submit(client: &Client) -> Result<Submitted, Error> {
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
        verification: Verification::default(),
        max_price: None,
        per_gib: None,
        budget: None,
        limits: Limits::default(),
    };
    Ok(client.submit(&job).await?)
}

/// The proofs that the requester's daemon wrote, each replayed here, as a stranger would: whom it is about, and whether it
/// holds.
async fn proofs(requester: &Child, details: &[JobDetail]) -> Result<Vec<(PeerId, bool)>, Error> {
    let mut refuted: Vec<PeerId> =
        details.iter().flat_map(|detail| &detail.cost.claims).map(|claim| claim.peer).collect();
    refuted.sort();
    refuted.dedup();
    let shelf = Shelf::new(Home::proofs_of(&requester.dir));
    let until = Instant::now() + PROOFS_WITHIN;
    // They are written while the daemon goes on with its work.
    let paths = loop {
        let paths = shelf.list().map_err(|error| Error::failed(format!("cannot read the proofs: {error}")))?;
        if paths.len() >= refuted.len() || Instant::now() > until {
            break paths;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let replay = move || {
        let replayed = paths.iter().map(|path| {
            let account = receipts::read(path)?;
            let verdict = proofs::verify(&account, Sandbox::default());
            Ok((account.worker, matches!(verdict, Verdict::Fraud { requester_agrees: true, .. })))
        });
        replayed.collect()
    };
    tokio::task::spawn_blocking(replay).await.map_err(Error::failed)?
}

/// The tiles, joined in task order: 16-bit little-endian escape times, row-major.
async fn fetch(client: &Client, id: &str) -> Result<Vec<u16>, Error> {
    let bytes = client.job_stdout(id, Which::Final).await?.try_fold(Vec::new(), |mut bytes, chunk| async move {
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

/// Whether every cheat that delivered anything was caught, at least one was, and nobody else.
fn caught(peers: &[Child], details: &[JobDetail]) -> bool {
    let rows = |peer: &Child| story::row_of(details, &peer.peer);
    let is_voided = |peer: &Child| rows(peer).is_some_and(|row| row.voided > 0);
    let (cheats, honest): (Vec<&Child>, Vec<&Child>) = peers.iter().partition(|peer| peer.sabotage.is_some());
    let cheated = cheats.iter().filter(|peer| story::has_cheated(peer, details)).all(|peer| is_voided(peer));
    cheated
        && (cheats.is_empty() || cheats.iter().any(|peer| is_voided(peer)))
        && !honest.iter().any(|peer| is_voided(peer))
}

fn conclude(identical: bool, caught: bool, proofs: &[(PeerId, bool)]) -> Outcome {
    match (identical, caught) {
        (false, _) => Err(Error::failed("the picture differs from the one computed here")),
        (true, false) => Err(Error::failed("a saboteur was not caught, or an honest peer was blamed")),
        (true, true) if proofs.iter().any(|(_, holds)| !holds) => {
            Err(Error::failed("a proof of fraud does not hold here"))
        }
        (true, true) => Ok(Exit::Complete),
    }
}
