using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace ZeroBuffer
{
    /// <summary>What becomes of a frame for which a subscriber's ring has no room.</summary>
    public struct SlowPolicy
    {
        internal readonly long Value;

        private SlowPolicy(long value) { Value = value; }

        /// <summary>The subscriber misses the frame, which is counted.</summary>
        public static SlowPolicy Drop => new SlowPolicy(Native.SlowDrop);
        /// <summary>The subscriber is disconnected, until it creates its buffer anew.</summary>
        public static SlowPolicy Disconnect => new SlowPolicy(Native.SlowDisconnect);
        /// <summary>It is waited for so long, once all others have the frame.</summary>
        public static SlowPolicy Block(TimeSpan time)
        {
            long ns = Native.Nanoseconds(time);
            return new SlowPolicy(ns < 0 ? long.MaxValue : ns);
        }
    }

    public class BroadcastConfig
    {
        public SlowPolicy Policy { get; set; } = SlowPolicy.Drop;
        /// <summary>Those of some subscribers, by what stands behind the @ in the names of their
        /// buffers; a * at the end stands for anything. The first that fits counts.</summary>
        public IList<KeyValuePair<string, SlowPolicy>> Policies { get; } = new List<KeyValuePair<string, SlowPolicy>>();
        /// <summary>How many subscribers are connected at once.</summary>
        public int MaxSubscribers { get; set; } = 64;

        internal Options Options()
        {
            var options = new Options();
            try
            {
                options.Set(Native.Slow, Policy.Value).Set(Native.MaxSubscribers, MaxSubscribers);
                foreach (KeyValuePair<string, SlowPolicy> own in Policies)
                    Errors.Check(Native.zb_options_slow(options.Handle, Native.Text(own.Key), own.Value.Value), End.Reader);
                return options;
            }
            catch
            {
                options.Dispose();
                throw;
            }
        }
    }

    /// <summary>Where one frame has gone.</summary>
    public struct Delivery
    {
        internal Delivery(ulong sent, ulong missed)
        {
            Sent = (int)sent;
            Missed = (int)missed;
        }

        /// <summary>How many subscribers have it.</summary>
        public int Sent { get; }
        /// <summary>How many miss it, for their rings had no room.</summary>
        public int Missed { get; }
    }

    /// <summary>One connected subscriber, and what it has got.</summary>
    public sealed class Subscriber
    {
        internal Subscriber(string buffer, string problem) { Buffer = buffer; Problem = problem; }

        public string Buffer { get; }
        /// <summary>What keeps it from getting everything; null: nothing.</summary>
        public string Problem { get; }
        public ulong Frames { get; internal set; }
        public ulong Bytes { get; internal set; }
        public ulong Missed { get; internal set; }
    }

    /// <summary>Sends a stream to any number of subscribers, each of which has a buffer of its own
    /// (Reader.Subscribe). One that is slow, stopped or killed does not delay the others. One thread
    /// at a time may write; what any thread may call says so.</summary>
    public sealed unsafe class Broadcaster : IDisposable
    {
        private readonly BroadcasterHandle handle;

        public Broadcaster(string name, BroadcastConfig config = null)
        {
            Native.Check(name, nameof(name));
            handle = new BroadcasterHandle(Native.Open(
                name, (config ?? new BroadcastConfig()).Options(),
                (byte[] text, IntPtr options, out IntPtr opened) => Native.zb_broadcaster_new(text, options, out opened), End.Reader));
            Name = name;
        }

        public string Name { get; }

        /// <summary>May be called again: a subscriber sees other metadata with the first frame behind
        /// them.</summary>
        public void SetMetadata(byte[] data)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            fixed (byte* bytes = data)
                Errors.Check(Native.zb_broadcaster_set_metadata(handle.Raw, bytes, (UIntPtr)data.Length), End.Reader);
        }

        /// <summary>Copies one frame to each subscriber.</summary>
        public Delivery WriteFrame(byte[] data)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            fixed (byte* bytes = data) return WriteFrame(bytes, data.Length);
        }

        public Delivery WriteFrame(byte* data, int size)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            ulong sent, missed;
            int status = Native.zb_broadcaster_write(handle.Raw, data, (ulong)size, &sent, &missed);
            GC.KeepAlive(this);
            Errors.Check(status, End.Reader);
            return new Delivery(sent, missed);
        }

#if ZEROBUFFER_SPAN
        public Delivery WriteFrame(ReadOnlySpan<byte> data)
        {
            fixed (byte* bytes = data) return WriteFrame(bytes, data.Length);
        }
#endif

        /// <summary>Waits until there are so many; false: there are not in time.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public bool WaitForSubscribers(int count, TimeSpan timeout)
        {
            if (count < 0) throw new ArgumentOutOfRangeException(nameof(count));
            int status = Native.zb_broadcaster_wait_for_subscribers(handle.Raw, (UIntPtr)count, Native.Nanoseconds(timeout));
            return Errors.InTime(status, End.Reader);
        }

        /// <summary>Those that are connected. Any thread.</summary>
        public IList<Subscriber> GetSubscribers()
        {
            var found = new List<Subscriber>();
            Exception failed = null;
            // No exception crosses into the native side.
            Native.SubscriberFunction add = (user, subscriber) =>
            {
                try
                {
                    found.Add(new Subscriber(Native.Utf8(Native.zb_subscriber_buffer(subscriber)),
                                             Native.Utf8(Native.zb_subscriber_problem(subscriber)))
                    {
                        Frames = Number(subscriber, Native.StatFrames),
                        Bytes = Number(subscriber, Native.StatBytes),
                        Missed = Number(subscriber, Native.StatLost)
                    });
                    return 0;
                }
                catch (Exception error)
                {
                    failed = error;
                    return 1;
                }
            };
            int status = Native.zb_broadcaster_subscribers(handle.Raw, add, IntPtr.Zero);
            GC.KeepAlive(add);
            Errors.Check(status, End.Reader);
            if (failed != null) throw failed;
            return found;
        }

        private static ulong Number(IntPtr subscriber, int key)
        {
            ulong value;
            Errors.Check(Native.zb_subscriber_stat(subscriber, key, out value), End.Reader);
            return value;
        }

        /// <summary>Any thread, as all counters.</summary>
        public ulong FramesWritten => Stat(Native.StatFrames);
        /// <summary>Copies in the rings of subscribers.</summary>
        public ulong FramesSent => Stat(Native.StatSent);
        public ulong FramesMissed => Stat(Native.StatLost);
        /// <summary>Subscribers that were disconnected.</summary>
        public ulong Disconnected => Stat(Native.StatDisconnected);

        private ulong Stat(int key) => Native.Stat(handle, Native.zb_broadcaster_stat, key, End.Reader);

        /// <summary>Ends a blocked call of another thread, and later ones, with a ClosedException. It
        /// cannot be taken back. Any thread.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void Interrupt() { Errors.Check(Native.zb_broadcaster_interrupt(handle.Raw), End.Reader); }

        public void Dispose() { handle.Dispose(); }
    }
}
