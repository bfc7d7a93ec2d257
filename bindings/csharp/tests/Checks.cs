using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using ZeroBuffer;
using ZeroBuffer.DuplexChannel;

/// <summary>What the binding does. Usage: Checks.exe RUN, or as one end of a stream with another
/// program: Checks.exe recv NAME FRAMES, send NAME FRAMES, follow NAME LIVES, on NAME 0.</summary>
internal static unsafe class Checks
{
    private static void Check(bool right, string what)
    {
        if (!right) throw new Exception("not so: " + what);
    }

    private static void Throws<T>(string what, Action call) where T : Exception
    {
        try { call(); }
        catch (T error)
        {
            Check(error.Message.Length > 0, what + " has a text");
            return;
        }
        throw new Exception("does not throw " + typeof(T).Name + ": " + what);
    }

    private static byte[] Pattern(ulong sequence, int size)
    {
        var data = new byte[size];
        for (int at = 0; at < size; at++) data[at] = (byte)(sequence * 131 + (ulong)at);
        return data;
    }

    private static bool Same(byte[] a, byte[] b)
    {
        if (a.Length != b.Length) return false;
        for (int at = 0; at < a.Length; at++) if (a[at] != b[at]) return false;
        return true;
    }

    private static void Stream(string name)
    {
        Throws<BufferNotFoundException>("no reader", () => new Writer(name));
        Throws<ArgumentException>("no name", () => new Reader(""));
        Throws<ArgumentException>("a path", () => new Reader("a/b"));
        Throws<ArgumentException>("a NUL", () => new Reader("a\0b"));
        Throws<ArgumentException>("no ring", () => new Reader(name, new BufferConfig(0, 0)));
        Throws<ArgumentException>("a negative ring", () => new Reader(name, new BufferConfig(0, -1)));
        using (var reader = new Reader(name, new BufferConfig(1024, 64 * 1024)))
        {
            Throws<ReaderAlreadyConnectedException>("a second reader", () => new Reader(name));
            Check(!reader.ReadFrame(TimeSpan.Zero).IsValid, "nothing is there");
            Check(reader.GetMetadata().Length == 0 && !reader.IsWriterConnected(), "no writer");
            var writer = new Writer(name);
            Throws<WriterAlreadyConnectedException>("a second writer", () => new Writer(name));
            Check(reader.IsWriterConnected(TimeSpan.FromSeconds(5)) && writer.IsReaderConnected(), "both are here");
            writer.SetMetadata(new byte[] { 1, 2, 3 });
            Throws<MetadataAlreadyWrittenException>("metadata twice", () => writer.SetMetadata(new byte[1]));
            Check(Same(reader.GetMetadata(), new byte[] { 1, 2, 3 }), "metadata");

            writer.WriteFrame(Pattern(1, 1000));
            ulong sequence;
            byte* room = writer.GetFramePointer(100, out sequence);
            Check(sequence == 2, "the number of a loan");
            for (int at = 0; at < 100; at++) room[at] = (byte)at;
            writer.CommitFrame(50);
            writer.GetFramePointer(10, out sequence);
            writer.AbortFrame();
            Throws<InvalidFrameSizeException>("no byte", () => writer.WriteFrame(new byte[0]));
            Throws<FrameTooLargeException>("too many", () => writer.WriteFrame(new byte[65536]));
            Throws<ArgumentOutOfRangeException>("a slice outside", () => writer.WriteFrame(new byte[5], 3, 3));
            writer.WriteTimeout = TimeSpan.FromMilliseconds(2);
            writer.WriteFrame(new byte[60000]);
            Throws<BufferFullException>("full", () => writer.WriteFrame(new byte[60000]));
            Check(writer.FramesWritten == 3 && writer.BytesWritten == 61050, "counters");

            Frame first = reader.ReadFrame();
            Check(first.IsValid && first.Sequence == 1 && first.Size == 1000, "the first");
            Check(Same(first.ToArray(), Pattern(1, 1000)), "its bytes");
            using (Frame second = reader.ReadFrame())
            using (Stream stream = second.OpenStream())
            {
                Check(second.Size == 50 && second.Pointer[49] == 49 && stream.ReadByte() == 0 && stream.ReadByte() == 1, "the second");
            }
            first.Dispose();
            first.Dispose();
            Check(!first.IsValid && first.ToArray().Length == 0, "after its release");
            reader.ReadFrame().Dispose();
            Check(reader.FramesRead == 3, "frames read");
            Forgotten(reader, writer);

            var interrupting = new Thread(() => { Thread.Sleep(50); reader.Interrupt(); });
            interrupting.Start();
            Throws<ClosedException>("an interrupted read", () => reader.ReadFrame(Timeout.InfiniteTimeSpan));
            interrupting.Join();
            reader.Resume();
            writer.Dispose();
            writer.Dispose();
            Throws<ObjectDisposedException>("a closed writer", () => writer.WriteFrame(new byte[1]));
            Throws<WriterDeadException>("the writer is gone", () => reader.ReadFrame());
            var next = new Writer(name);
            reader.Dispose();
            Throws<ObjectDisposedException>("a closed reader", () => reader.ReadFrame());
            Throws<ReaderDeadException>("the reader is gone", () => next.WriteFrame(new byte[1]));
            next.Dispose();
        }
    }

    private static void Duplex(string channel)
    {
        int errors = 0, clients = 0;
        var factory = new DuplexChannelFactory();
        using (IImmutableDuplexServer server = factory.CreateImmutableServer(channel, new BufferConfig(1024, 65536)))
        {
            server.OnError += (sender, what) => { if (what.Exception.Message.Contains("on purpose")) Interlocked.Increment(ref errors); };
            server.Start((request, writer) =>
            {
                byte[] asked = request.ToArray();
                if (asked[0] == 0) throw new Exception("on purpose");
                Array.Reverse(asked);
                ulong sequence;
                byte* room = writer.GetFramePointer(asked.Length, out sequence);
                Check(sequence == request.Sequence, "the request's number");
                for (int at = 0; at < asked.Length; at++) room[at] = asked[at];
                writer.CommitFrame();
            }, metadata => clients += metadata.Length);
            Check(server.IsRunning, "it runs");
            using (IDuplexClient client = factory.CreateClient(channel))
            {
                client.SetMetadata(new byte[] { 7, 7 });
                ulong sequence = client.SendRequest(new byte[] { 1, 2, 3 });
                using (Frame response = client.ReceiveResponse(TimeSpan.FromSeconds(10)))
                    Check(response.Sequence == sequence && Same(response.ToArray(), new byte[] { 3, 2, 1 }), "the response");
                byte* room = client.AcquireRequestPointer(2, out sequence);
                room[0] = 4;
                room[1] = 5;
                client.CommitRequest();
                using (Frame response = client.ReceiveResponse(TimeSpan.FromSeconds(10)))
                    Check(response.Sequence == sequence && Same(response.ToArray(), new byte[] { 5, 4 }), "in place");
                client.SendRequest(new byte[] { 0 });
                Throws<RemoteException>("a handler that throws", () => client.ReceiveResponse(TimeSpan.FromSeconds(10)));
                Check(!client.ReceiveResponse(TimeSpan.FromMilliseconds(1)).IsValid && client.IsServerConnected, "nothing more");
                GC.Collect();
                client.SendRequest(new byte[] { 9 });
                client.ReceiveResponse(TimeSpan.FromSeconds(10)).Dispose();
            }
            Check(errors == 1 && clients == 2, "errors and metadata");
            server.Stop();
            Check(!server.IsRunning, "it has stopped");
        }
        using (IMutableDuplexServer server = factory.CreateMutableServer(channel, new BufferConfig(1024, 65536)))
        {
            server.Start(frame => { for (int at = 0; at < frame.Size; at++) frame.Pointer[at]++; });
            using (IDuplexClient client = factory.CreateClient(channel))
            {
                client.SendRequest(new byte[] { 1, 2, 3 });
                using (Frame response = client.ReceiveResponse(TimeSpan.FromSeconds(10)))
                    Check(Same(response.ToArray(), new byte[] { 2, 3, 4 }), "an edited request");
            }
        }
    }

    private static void Loop(string name)
    {
        // Room for one frame: each step gives the one before back.
        using (var reader = new Reader(name, new BufferConfig(0, 4096)))
        {
            foreach (Frame frame in reader.Frames(TimeSpan.Zero)) Check(!frame.IsValid, "nothing is there");
            const ulong Count = 200;
            var sending = new Thread(() =>
            {
                using (var writer = new Writer(name))
                    for (ulong number = 1; number <= Count; number++) writer.WriteFrame(Pattern(number, 3000));
            });
            sending.Start();
            Frame kept = null;
            ulong count = 0;
            foreach (Frame frame in reader.Frames(TimeSpan.FromSeconds(30)))
            {
                count++;
                Check(frame.IsValid && frame.Sequence == count, "the number of frame " + count);
                Check(Same(frame.ToArray(), Pattern(count, 3000)), "the bytes of frame " + count);
                kept = frame;
                // Given back early now and then.
                if (count % 3 != 0) continue;
                frame.Dispose();
                frame.Dispose();
                Check(!frame.IsValid, "given back");
            }
            sending.Join();
            Check(count == Count && !kept.IsValid, "all came, and the last one is given back");
            var next = new Writer(name) { WriteTimeout = TimeSpan.Zero };
            next.WriteFrame(new byte[3000]);
            foreach (Frame frame in reader.Frames())
            {
                Throws<BufferFullException>("it is held", () => next.WriteFrame(new byte[3000]));
                break;
            }
            next.WriteFrame(new byte[3000]);
            FrameLoop.Enumerator frames = reader.Frames().GetEnumerator();
            reader.Dispose();
            Throws<ObjectDisposedException>("a closed reader", () => frames.MoveNext());
            next.Dispose();
        }
    }

    private static void Taps(string name)
    {
        Throws<BufferNotFoundException>("nothing to see", () => new Tap(name));
        using (var reader = new Reader(name, new BufferConfig(64, 64 * 1024)))
        using (var tap = new Tap(name))
        {
            Check(tap.State == TapState.NoWriter && !tap.Next(TimeSpan.Zero).IsValid, "nobody writes");
            Check(tap.GetMetadata().Length == 0, "no metadata");
            var writer = new Writer(name);
            writer.SetMetadata(new byte[] { 5, 6 });
            writer.WriteFrame(Pattern(1, 500));
            TapFrame seen = tap.Next(TimeSpan.FromSeconds(10));
            Check(seen.Sequence == 1 && Same(seen.ToArray(), Pattern(1, 500)), "the first frame");
            for (ulong number = 2; number <= 4; number++) writer.WriteFrame(Pattern(number, 500));
            Check(tap.Next(TimeSpan.FromSeconds(10)).Sequence == 2, "the next frame");
            Check(tap.Latest(TimeSpan.FromSeconds(10)).Sequence == 4, "the newest frame");
            Check(tap.State == TapState.Writing && Same(tap.GetMetadata(), new byte[] { 5, 6 }), "its metadata");
            Check(tap.Missed == 0, "none is missed");
            for (ulong number = 1; number <= 4; number++)
                using (Frame frame = reader.ReadFrame()) Check(frame.Sequence == number, "the reader has all");
            writer.Dispose();
            reader.Dispose();
            Throws<ReaderDeadException>("the buffer has ended", () => tap.Next(TimeSpan.FromSeconds(10)));
            Check(tap.State == TapState.Ended, "it has ended");
            tap.Dispose();
            Throws<ObjectDisposedException>("a closed tap", () => tap.Next(TimeSpan.Zero));
        }
    }

    private static void NewestFrames(string name)
    {
        Throws<ArgumentException>("no name", () => new Newest(""));
        using (var newest = new Newest(name, new BufferConfig(64, 8192)))
        {
            Check(!newest.ReadFrame(TimeSpan.Zero).IsValid && !newest.IsWriterConnected(), "nothing is there");
            var writer = new Writer(name);
            writer.SetMetadata(new byte[] { 9 });
            for (ulong number = 1; number <= 50; number++) writer.WriteFrame(Pattern(number, 1000));
            ulong last = 0, all = 0;
            while (last < 50)
                using (Frame frame = newest.ReadFrame(TimeSpan.FromSeconds(10)))
                {
                    Check(frame.Sequence > last && Same(frame.ToArray(), Pattern(frame.Sequence, 1000)), "a newer one");
                    last = frame.Sequence;
                    all += 1 + newest.Skipped;
                }
            Check(all == 50 && newest.FramesSkipped <= 49, "each is handed out or passed over");
            Check(newest.IsWriterConnected() && Same(newest.GetMetadata(), new byte[] { 9 }), "its metadata");
            writer.Dispose();
            Throws<WriterDeadException>("the writer is gone", () => newest.ReadFrame());
            newest.Interrupt();
            Throws<ClosedException>("interrupted", () => newest.ReadFrame());
            newest.Dispose();
            Throws<ObjectDisposedException>("closed", () => newest.ReadFrame());
        }
    }

    private static void Broadcasts(string name)
    {
        Throws<ArgumentException>("no such name", () => Reader.Subscribe("a/b"));
        using (Reader first = Reader.Subscribe(name))
        using (Reader second = Reader.Subscribe(name, new BufferConfig(64, 4096)))
        {
            Check(first.Name != second.Name && second.Name.StartsWith(name + "@"), "names of subscribers");
            var config = new BroadcastConfig { Policy = SlowPolicy.Block(TimeSpan.FromSeconds(10)) };
            string own = second.Name.Substring(name.Length + 1);
            config.Policies.Add(new System.Collections.Generic.KeyValuePair<string, SlowPolicy>(own, SlowPolicy.Disconnect));
            config.Policies.Add(new System.Collections.Generic.KeyValuePair<string, SlowPolicy>("*", SlowPolicy.Drop));
            var broadcaster = new Broadcaster(name, config);
            Check(broadcaster.WaitForSubscribers(2, TimeSpan.FromSeconds(10)), "both are there");
            Check(!broadcaster.WaitForSubscribers(3, TimeSpan.Zero), "a third is not");
            broadcaster.SetMetadata(new byte[] { 1, 2 });
            for (ulong number = 1; number <= 20; number++)
            {
                Delivery delivery = broadcaster.WriteFrame(Pattern(number, 1000));
                Check(delivery.Sent >= 1 && delivery.Missed <= 1, "where it has gone");
            }
            for (ulong number = 1; number <= 20; number++)
                using (Frame frame = first.ReadFrame(TimeSpan.FromSeconds(10)))
                    Check(frame.Sequence == number && Same(frame.ToArray(), Pattern(number, 1000)), "frame " + number);
            Check(Same(first.GetMetadata(), new byte[] { 1, 2 }), "metadata");
            System.Collections.Generic.IList<Subscriber> there = broadcaster.GetSubscribers();
            Check(there.Count == 1 && there[0].Buffer == first.Name && there[0].Frames == 20, "the subscribers");
            Check(there[0].Problem == null && there[0].Missed == 0 && there[0].Bytes == 20000, "its numbers");
            Check(broadcaster.FramesWritten == 20 && broadcaster.Disconnected == 1, "the counters");
            Check(broadcaster.FramesSent >= 20, "the copies");
            broadcaster.Interrupt();
            Throws<ClosedException>("interrupted", () => broadcaster.WriteFrame(new byte[1]));
            broadcaster.Dispose();
            Throws<ObjectDisposedException>("closed", () => broadcaster.WriteFrame(new byte[1]));
            Throws<WriterDeadException>("no broadcaster", () => first.ReadFrame());
        }
    }

    /// <summary>Frames that nobody disposes of: the collector returns their space.</summary>
    private static void Forgotten(Reader reader, Writer writer)
    {
        var data = new byte[20000];
        for (int number = 0; number < 30; number++)
        {
            for (int attempt = 0; ; attempt++)
            {
                try
                {
                    writer.WriteFrame(data);
                    break;
                }
                catch (BufferFullException)
                {
                    Check(attempt < 100, "a forgotten frame is released");
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                }
            }
            Forget(reader);
        }
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Forget(Reader reader) { Check(reader.ReadFrame().IsValid, "a frame"); }

    /// <summary>ns for one frame of 64 bytes, written and read by one thread.</summary>
    private static void Speed(string name)
    {
        const int Rounds = 200000;
        var data = new byte[64];
        using (var reader = new Reader(name))
        using (var writer = new Writer(name))
        {
            double best = double.MaxValue;
            for (int run = 0; run < 5; run++)
            {
                var watch = Stopwatch.StartNew();
                for (int round = 0; round < Rounds; round++)
                {
                    writer.WriteFrame(data);
                    reader.ReadFrame().Dispose();
                }
                best = Math.Min(best, watch.Elapsed.TotalMilliseconds * 1e6 / Rounds);
            }
            Console.WriteLine("csharp {0:F1} ns", best);
            best = double.MaxValue;
            for (int run = 0; run < 5; run++)
            {
                int round = 0;
                writer.WriteFrame(data);
                var watch = Stopwatch.StartNew();
                foreach (Frame frame in reader.Frames())
                {
                    if (++round == Rounds) break;
                    writer.WriteFrame(data);
                }
                best = Math.Min(best, watch.Elapsed.TotalMilliseconds * 1e6 / Rounds);
            }
            Console.WriteLine("csharp, by foreach {0:F1} ns", best);
        }
    }

    private static int Receive(string name, int frames)
    {
        using (var reader = new Reader(name, new BufferConfig(1024, 256 * 1024)))
        {
            Tell("ready");
            for (ulong number = 1; number <= (ulong)frames; number++)
                using (Frame frame = reader.ReadFrame(TimeSpan.FromSeconds(30)))
                    Check(frame.Sequence == number && Same(frame.ToArray(), Pattern(number, frame.Size)), "frame " + number);
            Throws<WriterDeadException>("the end", () => reader.ReadFrame(TimeSpan.FromSeconds(30)));
            Tell("read");
        }
        return 0;
    }

    private static int Send(string name, int frames)
    {
        var random = new Random(5);
        using (var writer = new Writer(name, TimeSpan.FromSeconds(30)))
            for (ulong number = 1; number <= (ulong)frames; number++) writer.WriteFrame(Pattern(number, 1 + random.Next(5000)));
        return 0;
    }

    private static void Tell(string line)
    {
        Console.WriteLine(line);
        Console.Out.Flush();
    }

    /// <summary>Reads until so many writers have gone, and checks every byte.</summary>
    private static int Follow(string name, int lives)
    {
        using (var reader = new Reader(name, new BufferConfig(1024, 256 * 1024)))
        {
            Tell("ready");
            ulong last = 0;
            for (; lives > 0; lives--)
            {
                Check(reader.IsWriterConnected(TimeSpan.FromSeconds(30)), "a writer comes");
                foreach (Frame frame in reader.Frames(TimeSpan.FromSeconds(30)))
                {
                    last++;
                    Check(frame.Sequence == last && Same(frame.ToArray(), Pattern(last, frame.Size)), "frame " + last);
                }
                Check(!reader.IsWriterConnected(), "the writer has gone");
                Tell("gone " + last);
            }
        }
        return 0;
    }

    /// <summary>Writes on where its predecessor was, until it is killed or its reader is gone.</summary>
    private static int SendOn(string name)
    {
        var random = new Random();
        using (var writer = new Writer(name, TimeSpan.FromSeconds(30)))
            try
            {
                while (true)
                {
                    int size = 1 + random.Next(5000);
                    ulong sequence;
                    byte* room = writer.GetFramePointer(size, out sequence);
                    byte[] data = Pattern(sequence, size);
                    for (int at = 0; at < size; at++) room[at] = data[at];
                    writer.CommitFrame();
                }
            }
            catch (ReaderDeadException) { Tell("gone"); }
        return 0;
    }

    private static int Main(string[] words)
    {
        if (words.Length == 3 && words[0] == "follow") return Follow(words[1], int.Parse(words[2]));
        if (words.Length == 3 && words[0] == "on") return SendOn(words[1]);
        if (words.Length == 3 && words[0] == "recv") return Receive(words[1], int.Parse(words[2]));
        if (words.Length == 3 && words[0] == "send") return Send(words[1], int.Parse(words[2]));
        if (words.Length == 2 && words[0] == "speed")
        {
            Speed(words[1]);
            return 0;
        }
        string run = words.Length > 0 ? words[0] : Process.GetCurrentProcess().Id.ToString();
        Stream(run + "-cs");
        Loop(run + "-cs-loop");
        Taps(run + "-cs-tap");
        NewestFrames(run + "-cs-newest");
        Broadcasts(run + "-cs-broadcast");
        Duplex(run + "-cs-duplex");
        Console.WriteLine("checks: all right");
        return 0;
    }
}
