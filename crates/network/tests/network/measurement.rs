//! What a small message costs. Run it alone: `cargo test --release -p pocketmesh-network -- --ignored --nocapture`.

use crate::node::{Node, config, pair};
use std::{fs, time::Instant};

/// Processor time of this process in microseconds, from the kernel's ticks of 10 ms; none where there is no /proc.
fn cpu_micros() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * 10_000)
}

/// Sends so many messages of 100 bytes, a window of 2,000 at a time, and answers each window by one message.
async fn stream(a: &mut Node, b: &mut Node, messages: usize) {
    const WINDOW: usize = 2000;
    let (id_a, id_b) = (a.id(), b.id());
    let sending = async {
        for window in 0..messages / WINDOW {
            (0..WINDOW).for_each(|_| a.handle.send(id_b, vec![0; 100]).expect("queued"));
            if window > 0 {
                a.message().await;
            }
        }
        a.message().await;
    };
    let receiving = async {
        for _ in 0..messages / WINDOW {
            for _ in 0..WINDOW {
                b.message().await;
            }
            b.handle.send(id_a, vec![1]).expect("queued");
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn cost_of_a_small_message() {
    const MESSAGES: usize = 1_000_000;
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let (begin, cpu) = (Instant::now(), cpu_micros());
    stream(&mut a, &mut b, MESSAGES).await;
    let (wall, cpu) = (begin.elapsed(), cpu.zip(cpu_micros()).map(|(before, after)| after - before));
    println!("{MESSAGES} messages: {wall:?} wall, {cpu:?} µs CPU, both ends in this process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn round_trip_of_a_small_message() {
    const ROUNDS: u32 = 20_000;
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let (id_a, id_b) = (a.id(), b.id());
    let begin = Instant::now();
    let ask = async {
        for _ in 0..ROUNDS {
            a.handle.send(id_b, vec![0; 100]).expect("queued");
            a.message().await;
        }
    };
    let answer = async {
        for _ in 0..ROUNDS {
            let (_, bytes) = b.message().await;
            b.handle.send(id_a, bytes).expect("queued");
        }
    };
    tokio::join!(ask, answer);
    println!("round trip: {:?}", begin.elapsed() / ROUNDS);
}
