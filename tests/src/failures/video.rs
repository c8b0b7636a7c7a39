//! A video over RTP, decoded at the far end, while a bridge is unplugged and back.

use super::{FailuresOptions, SETTLE, UP_WITHIN};
use crate::bench::install;
use crate::sys::process;
use crate::testbed::{LinkSpec, Testbed};
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const PORT: u16 = 5004;

/// How long the video is; the bridge is away in its middle third.
const SECONDS: u64 = 12;

/// The decoder starts first, and waits for so long after the last packet.
const AHEAD: Duration = Duration::from_millis(700);
const AFTER: Duration = Duration::from_secs(3);

/// What the decoder of a video that was sent over two bridges, or one, complained about.
struct Seen {
    frames: u64,
    complaints: u64,
    first: Option<String>,
}

/// Plays the video over two bridges and over one, and prints what the decoder said.
///
/// # Errors
/// When there is no ffmpeg, or a testbed does not come up.
pub(super) fn compare(program: &Path, options: &FailuresOptions) -> Result<()> {
    install::programs(&[("ffmpeg", "ffmpeg")]).context("the video needs ffmpeg")?;
    for (name, bridges) in
        [("two bridges, one is unplugged", 2), ("its only bridge is unplugged", 1)]
    {
        let seen = play(program, bridges, options.seed)?;
        let wanted = bridges == 2;
        let mark = if seen.complaints == 0 || !wanted { '✓' } else { '✗' };
        println!(
            "{mark} video (RTP) over {name}: {} frames decoded, {} decoder errors",
            seen.frames, seen.complaints
        );
        if let Some(first) = seen.first.filter(|_| wanted) {
            println!("    the first: {first}");
        }
    }
    Ok(())
}

fn play(program: &Path, bridges: usize, seed: u64) -> Result<Seen> {
    let bridge = LinkSpec::new(20_000_000, Duration::from_millis(3));
    let builder = Testbed::builder(program).links(std::iter::repeat_n(bridge, bridges));
    let mut testbed = builder.seed(seed).build()?;
    testbed.start(UP_WITHIN).context("the tunnel did not come up")?;
    std::thread::sleep(SETTLE);
    let (from, to) = (testbed.a().host(), testbed.b().host());
    let address = testbed.b().host_v4();
    let description = testbed.directory().join("video.sdp");
    // What ffmpeg writes itself for this encoder, with the parameter sets sent in the stream.
    let text = format!(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=video\nc=IN IP4 {address}\nt=0 0\n\
         m=video {PORT} RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\n"
    );
    std::fs::write(&description, text)?;
    let (log, progress) =
        (testbed.directory().join("decoder.log"), testbed.directory().join("frames"));
    let mut decoder = to.command("ffmpeg");
    decoder.args(["-hide_banner", "-nostdin", "-loglevel", "warning"]);
    decoder.args(["-protocol_whitelist", "file,udp,rtp", "-analyzeduration", "2000000"]);
    // A player's jitter buffer; packets that come within it are put in order.
    decoder.args(["-reorder_queue_size", "64", "-max_delay", "200000", "-i"]).arg(&description);
    decoder.args(["-fps_mode", "passthrough", "-f", "null", "-progress"]).arg(&progress).arg("-");
    decoder.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
    let mut decoder = process::spawn(decoder).context("cannot start ffmpeg")?;
    std::thread::sleep(AHEAD);
    let mut sender = from.command("ffmpeg");
    sender.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i"]);
    sender.arg("testsrc2=size=640x360:rate=25").args(["-t", &SECONDS.to_string()]);
    sender.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"]);
    sender.args(["-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "1M"]);
    sender.args(["-x264-params", "nal-hrd=cbr", "-bsf:v", "dump_extra", "-f", "rtp"]);
    sender.arg(format!("rtp://{address}:{PORT}?pkt_size=1200"));
    sender.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut sender = process::spawn(sender).context("cannot start ffmpeg")?;
    let third = Duration::from_secs(SECONDS) / 3;
    std::thread::sleep(third);
    testbed.link(1).unplug();
    std::thread::sleep(third);
    testbed.link(1).plug();
    ensure!(sender.wait()?.success(), "ffmpeg could not send the video");
    std::thread::sleep(AFTER);
    // SIGINT: it ends as if the video had ended, and writes its counters.
    process::signal(decoder.id(), process::INTERRUPT)?;
    decoder.wait()?;
    let log = std::fs::read_to_string(&log)?;
    let complaints: Vec<&str> = log.lines().filter(|line| is_complaint(line)).collect();
    let progress = std::fs::read_to_string(&progress).unwrap_or_default();
    let frames = progress.lines().rev().find_map(|l| l.strip_prefix("frame=")?.trim().parse().ok());
    Ok(Seen {
        frames: frames.unwrap_or(0),
        complaints: complaints.len() as u64,
        first: complaints.first().map(|line| (*line).to_owned()),
    })
}

/// What the decoder says when packets were missing.
fn is_complaint(line: &str) -> bool {
    ["missed", "error", "conceal", "corrupt", "Invalid", "max delay reached", "no frame"]
        .iter()
        .any(|word| line.contains(word))
}
