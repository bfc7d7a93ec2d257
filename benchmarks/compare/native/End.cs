using System;
using System.Diagnostics;
using System.Globalization;
using System.Threading;
using ZeroBuffer;

/// <summary>One end of one measurement, in C#: the words and events of src/ends/drive.rs.</summary>
internal static unsafe class End
{
    private const ulong BeginMark = ulong.MaxValue - 1, EndMark = ulong.MaxValue;
    private const double WarmUp = 0.1;
    private const int ClockEvery = 64 << 10, MaxSamples = 1 << 20;

    private static string kind, name;
    private static int bytes, depth;
    private static double seconds;
    private static char touch;
    internal static ulong sink;

    private static Reader Receiver(string name) =>
        new Reader(name, new BufferConfig(0, (bytes + 16) * depth));

    private static Writer Sender(string name) => new Writer(name, TimeSpan.FromSeconds(20));

    private static double CpuSeconds() => Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;

    private static double Now() => (double)Stopwatch.GetTimestamp() / Stopwatch.Frequency;

    private static ulong Look(Frame frame, char touch)
    {
        byte* data = frame.Pointer;
        if (touch != 'h')
        {
            ulong sum = 0;
            int step = touch == 'a' ? 8 : 64;
            for (int at = 0; at + 8 <= bytes; at += step) sum ^= *(ulong*)(data + at);
            sink = sum;
        }
        return *(ulong*)data;
    }

    private static byte[] Content()
    {
        var content = new byte[bytes];
        new Random(7).NextBytes(content);
        return content;
    }

    private static void Mark(byte[] frame, ulong number)
    {
        fixed (byte* data = frame) *(ulong*)data = number;
    }

    private static void Tell(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }

    /// <summary>Reports, then stays until the supervisor has looked at this process.</summary>
    private static void Finish(string format, params object[] values)
    {
        Tell("{" + string.Format(CultureInfo.InvariantCulture, format, values) + "}");
        Console.In.ReadLine();
    }

    private static void Receive()
    {
        char reads = kind == "loan" ? 'h' : touch;
        using (Reader reader = Receiver(name))
        {
            Tell("ready");
            ulong expected = 0, first = 0;
            double start = 0, cpu = 0;
            foreach (Frame frame in reader.Frames(Timeout.InfiniteTimeSpan))
            {
                ulong number = Look(frame, reads);
                if (number == expected) expected++;
                else if (number == BeginMark)
                {
                    start = Now();
                    cpu = CpuSeconds();
                    first = expected;
                }
                else if (number == EndMark) break;
                else throw new Exception("frame " + number + " came, " + expected + " was expected");
            }
            double span = Now() - start;
            Finish("\"frames\": {0}, \"seconds\": {1}, \"cpu\": {2}", expected - first, span, CpuSeconds() - cpu);
        }
    }

    private static void Send()
    {
        byte[] frame = Content();
        ulong number = 0;
        bool loan = kind == "loan";
        using (Writer writer = Sender(name))
        {
            Action put = () =>
            {
                if (loan)
                {
                    ulong sequence;
                    *(ulong*)writer.GetFramePointer(bytes, out sequence) = number;
                    writer.CommitFrame();
                }
                else
                {
                    Mark(frame, number);
                    writer.WriteFrame(frame);
                }
                number++;
            };
            int every = Math.Max(1, ClockEvery / bytes);
            Action<double> stream = span =>
            {
                for (double until = Now() + span; Now() < until;)
                    for (int count = 0; count < every; count++) put();
            };
            Action<ulong> mark = which =>
            {
                var marked = new byte[bytes];
                Mark(marked, which);
                writer.WriteFrame(marked);
            };
            put();
            Thread.Sleep(20);
            stream(seconds * WarmUp);
            mark(BeginMark);
            double cpu = CpuSeconds();
            stream(seconds);
            cpu = CpuSeconds() - cpu;
            mark(EndMark);
            Finish("\"cpu\": {0}", cpu);
        }
    }

    private static void Answer()
    {
        using (Reader requests = Receiver(name + "-there"))
        {
            Tell("ready");
            using (Writer answers = Sender(name + "-back"))
            {
                double cpu = 0;
                for (ulong number = 0; number != EndMark;)
                {
                    using (Frame frame = requests.ReadFrame(Timeout.InfiniteTimeSpan))
                    {
                        answers.WriteFrame(frame.Pointer, frame.Size);
                        number = Look(frame, 'h');
                    }
                    if (number == BeginMark) cpu = CpuSeconds();
                }
                Finish("\"cpu\": {0}", CpuSeconds() - cpu);
            }
        }
    }

    private static void Ask()
    {
        byte[] frame = Content();
        var times = new double[MaxSamples];
        int count = 0;
        using (Reader answers = Receiver(name + "-back"))
        using (Writer requests = Sender(name + "-there"))
        {
            Action<ulong> once = number =>
            {
                Mark(frame, number);
                requests.WriteFrame(frame);
                using (Frame response = answers.ReadFrame(Timeout.InfiniteTimeSpan))
                    if (Look(response, touch) != number) throw new Exception("the answer is another one");
            };
            Action<double> rounds = span =>
            {
                double last = Now(), until = last + span;
                for (count = 0; last < until && count < MaxSamples; count++)
                {
                    once((ulong)count);
                    double now = Now();
                    times[count] = now - last;
                    last = now;
                }
            };
            rounds(seconds * WarmUp);
            once(BeginMark);
            double cpu = CpuSeconds();
            rounds(seconds);
            cpu = CpuSeconds() - cpu;
            once(EndMark);
            Array.Sort(times, 0, count);
            Func<double, double> at = share => times[Math.Max(1, (int)Math.Ceiling(count * share)) - 1] * 1e6;
            Finish("\"frames\": {0}, \"cpu\": {1}, \"p50\": {2}, \"p90\": {3}, \"p99\": {4}, \"p999\": {5}",
                   count, cpu, at(0.5), at(0.9), at(0.99), at(0.999));
        }
    }

    /// <summary>SYSTEM ROLE KIND NAME BYTES DEPTH SECONDS TOUCH, as for the other ends.</summary>
    private static void Main(string[] words)
    {
        bool isServer = words[1] == "server";
        kind = words[2];
        name = words[3];
        bytes = int.Parse(words[4]);
        depth = int.Parse(words[5]);
        seconds = double.Parse(words[6], CultureInfo.InvariantCulture);
        touch = words[7][0];
        if (kind == "trip")
        {
            if (isServer) Answer();
            else Ask();
        }
        else if (isServer) Receive();
        else Send();
    }
}
