using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace ZeroBuffer
{
    /// <summary>The functions of zerobuffer.h. What is called for each frame takes plain numbers and
    /// pointers, which the runtime passes on as they are; size_t has 64 bits.</summary>
    internal static unsafe class Native
    {
        private const string Library = "zerobuffer";

        internal const int Ok = 0, Timeout = 1, PeerGone = 2, Full = 3, Dropped = 4, None = 5;
        internal const int InvalidArgument = -1, InvalidHandle = -2, Busy = -3, NotFound = -4, NotReady = -5;
        internal const int ReaderConnected = -6, WriterConnected = -7, InUse = -8, FrameTooLarge = -9;
        internal const int EmptyFrame = -10, InvalidCommit = -11, MetadataWritten = -12, MetadataTooLarge = -13;
        internal const int Closed = -14, Sequence = -15, Corrupt = -16, PermissionDenied = -17, NoSpace = -18;
        internal const int Remote = -19, ResponseTooLarge = -20;

        internal const int RingSize = 1, MetadataSize = 2, Mode = 3, WriteTimeout = 7, ConnectTimeout = 8;
        internal const int Threads = 14, ResponseSize = 12, ResponseMetadataSize = 13, Persistent = 15;
        internal const int Slow = 17, MaxSubscribers = 18;
        internal const long SlowDrop = -1, SlowDisconnect = -2;
        internal const int StatFrames = 0, StatBytes = 1, StatLost = 2, StatSent = 8, StatDisconnected = 11;

        /// <summary>What a read waits where nothing else is said: 5 s.</summary>
        private const long DefaultTimeout = 5000000000;

        /// <summary>The interface that this binding is written for.</summary>
        private const uint Abi = 0x20003;

        private static readonly object Lock = new object();
        private static bool isChecked;

        /// <summary>Refuses no name, and a library that is older or has another interface. Called by
        /// whatever opens something.</summary>
        internal static void Check(string name, string parameter)
        {
            if (string.IsNullOrEmpty(name)) throw new ArgumentException("the name is empty", parameter);
            lock (Lock)
            {
                if (isChecked) return;
                NativeLibraryPath.Load();
                CheckVersion();
#if ZEROBUFFER_MONO
                Fast.Prepare(NativeLibraryPath.Loaded);
#endif
                isChecked = true;
            }
        }

        // A method of its own: mono looks for the library when it compiles what calls it.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void CheckVersion()
        {
            uint found = zb_abi_version();
            if (found >> 16 != Abi >> 16 || found < Abi)
                throw new ZeroBufferException("the native library has interface " + found.ToString("x") +
                                              ", this binding needs " + Abi.ToString("x"));
        }

        /// <summary>The text of this thread's last error.</summary>
        internal static string LastError()
        {
            var text = new byte[(int)zb_last_error(null, UIntPtr.Zero) + 1];
            fixed (byte* bytes = text) zb_last_error(bytes, (UIntPtr)text.Length);
            return Encoding.UTF8.GetString(text, 0, text.Length - 1);
        }

        /// <summary>UTF-8 with a NUL.</summary>
        internal static byte[] Text(string text)
        {
            if (text.IndexOf('\0') >= 0) throw new ArgumentException("a name cannot hold a NUL");
            return Encoding.UTF8.GetBytes(text + "\0");
        }

        /// <summary>5 s if nothing is said.</summary>
        internal static long Nanoseconds(TimeSpan? time) => time.HasValue ? Nanoseconds(time.Value) : DefaultTimeout;

        internal static long Nanoseconds(TimeSpan time)
        {
            if (time == System.Threading.Timeout.InfiniteTimeSpan || time == TimeSpan.MaxValue) return -1;
            if (time < TimeSpan.Zero) return 0;
            return time.Ticks > long.MaxValue / 100 ? -1 : time.Ticks * 100;
        }

        internal delegate int Opener(byte[] name, IntPtr options, out IntPtr opened);

        /// <summary>Opens an end. `open` is a lambda: mono looks for the library when it compiles what
        /// calls it, and where the library is may be given before.</summary>
        internal static IntPtr Open(string name, Options options, Opener open, End other)
        {
            using (options)
            {
                IntPtr opened;
                Errors.Check(open(Text(name), options.Handle, out opened), other);
                return opened;
            }
        }

        internal delegate int Number(IntPtr handle, int key, out ulong value);

        /// <summary>One number of an end.</summary>
        internal static ulong Stat(NativeHandle handle, Number get, int key, End other)
        {
            ulong value;
            Errors.Check(get(handle.Raw, key, out value), other);
            GC.KeepAlive(handle);
            return value;
        }

        /// <summary>A text of the native side; null for none.</summary>
        internal static string Utf8(byte* text)
        {
            if (text == null) return null;
            int length = 0;
            while (text[length] != 0) length++;
            return Encoding.UTF8.GetString(text, length);
        }

        internal delegate int Getter(IntPtr handle, byte* data, UIntPtr capacity, out UIntPtr size);

        /// <summary>A copy of what may grow meanwhile; empty if there is none.</summary>
        internal static byte[] Copy(NativeHandle handle, Getter get, End other)
        {
            var data = new byte[0];
            while (true)
            {
                UIntPtr size;
                int status;
                fixed (byte* bytes = data) status = get(handle.Raw, bytes, (UIntPtr)data.Length, out size);
                GC.KeepAlive(handle);
                if (status == None) return new byte[0];
                Errors.Check(status, other);
                if ((int)size == data.Length) return data;
                data = new byte[(int)size];
            }
        }

        [DllImport(Library)] internal static extern uint zb_abi_version();
        [DllImport(Library)] internal static extern byte* zb_version();
        [DllImport(Library)] internal static extern UIntPtr zb_last_error(byte* text, UIntPtr size);

        [DllImport(Library)] internal static extern int zb_options_new(out IntPtr options);
        [DllImport(Library)] internal static extern int zb_options_set(IntPtr options, int key, long value);
        [DllImport(Library)] internal static extern int zb_options_slow(IntPtr options, byte[] subscriber, long policy);
        [DllImport(Library)] internal static extern int zb_options_free(IntPtr options);

        [DllImport(Library)] internal static extern int zb_reader_create(byte[] name, IntPtr options, out IntPtr reader);
        [DllImport(Library)] internal static extern int zb_reader_subscribe(byte[] name, IntPtr options, out IntPtr reader);
        [DllImport(Library)] internal static extern int zb_reader_name(IntPtr reader, byte* name, UIntPtr capacity, out UIntPtr size);
        [DllImport(Library)] internal static extern int zb_reader_close(IntPtr reader);
        [DllImport(Library)] internal static extern int zb_reader_next(IntPtr reader, long timeout, IntPtr* frame, byte** data, ulong* size, ulong* sequence);
        [DllImport(Library)] internal static extern int zb_reader_wait_for_writer(IntPtr reader, long timeout);
        [DllImport(Library)] internal static extern int zb_reader_has_writer(IntPtr reader);
        [DllImport(Library)] internal static extern int zb_reader_metadata(IntPtr reader, byte* data, UIntPtr capacity, out UIntPtr size);
        [DllImport(Library)] internal static extern int zb_reader_stat(IntPtr reader, int key, out ulong value);
        [DllImport(Library)] internal static extern int zb_reader_interrupt(IntPtr reader);
        [DllImport(Library)] internal static extern int zb_reader_resume(IntPtr reader);

        [DllImport(Library)] internal static extern int zb_writer_connect(byte[] name, IntPtr options, out IntPtr writer);
        [DllImport(Library)] internal static extern int zb_writer_close(IntPtr writer);
        [DllImport(Library)] internal static extern int zb_writer_write(IntPtr writer, byte* data, ulong size, IntPtr sequence);
        [DllImport(Library)] internal static extern int zb_writer_loan(IntPtr writer, UIntPtr size, out byte* data);
        [DllImport(Library)] internal static extern int zb_writer_commit(IntPtr writer, UIntPtr size, IntPtr sequence);
        [DllImport(Library)] internal static extern int zb_writer_abort(IntPtr writer);
        [DllImport(Library)] internal static extern int zb_writer_set_metadata(IntPtr writer, byte* data, UIntPtr size);
        [DllImport(Library)] internal static extern int zb_writer_set_write_timeout(IntPtr writer, long timeout);
        [DllImport(Library)] internal static extern int zb_writer_next_sequence(IntPtr writer, out ulong sequence);
        [DllImport(Library)] internal static extern int zb_writer_has_reader(IntPtr writer);
        [DllImport(Library)] internal static extern int zb_writer_stat(IntPtr writer, int key, out ulong value);

        [DllImport(Library)] internal static extern int zb_frame_get(IntPtr frame, byte** data, ulong* size, ulong* sequence);
        [DllImport(Library)] internal static extern int zb_frame_release(IntPtr frame);

        [DllImport(Library)] internal static extern int zb_newest_create(byte[] name, IntPtr options, out IntPtr newest);
        [DllImport(Library)] internal static extern int zb_newest_close(IntPtr newest);
        [DllImport(Library)] internal static extern int zb_newest_read(IntPtr newest, long timeout, out IntPtr frame, out ulong skipped);
        [DllImport(Library)] internal static extern int zb_newest_has_writer(IntPtr newest);
        [DllImport(Library)] internal static extern int zb_newest_metadata(IntPtr newest, byte* data, UIntPtr capacity, out UIntPtr size);
        [DllImport(Library)] internal static extern int zb_newest_stat(IntPtr newest, int key, out ulong value);
        [DllImport(Library)] internal static extern int zb_newest_interrupt(IntPtr newest);

        [DllImport(Library)] internal static extern int zb_tap_open(byte[] name, out IntPtr tap);
        [DllImport(Library)] internal static extern int zb_tap_close(IntPtr tap);
        [DllImport(Library)] internal static extern int zb_tap_next(IntPtr tap, long timeout, byte** data, ulong* size, ulong* sequence);
        [DllImport(Library)] internal static extern int zb_tap_latest(IntPtr tap, long timeout, byte** data, ulong* size, ulong* sequence);
        [DllImport(Library)] internal static extern int zb_tap_metadata(IntPtr tap, byte* data, UIntPtr capacity, out UIntPtr size);
        [DllImport(Library)] internal static extern int zb_tap_state(IntPtr tap);
        [DllImport(Library)] internal static extern int zb_tap_stat(IntPtr tap, int key, out ulong value);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int SubscriberFunction(IntPtr user, IntPtr subscriber);

        [DllImport(Library)] internal static extern int zb_broadcaster_new(byte[] name, IntPtr options, out IntPtr broadcaster);
        [DllImport(Library)] internal static extern int zb_broadcaster_close(IntPtr broadcaster);
        [DllImport(Library)] internal static extern int zb_broadcaster_write(IntPtr broadcaster, byte* data, ulong size, ulong* sent, ulong* missed);
        [DllImport(Library)] internal static extern int zb_broadcaster_set_metadata(IntPtr broadcaster, byte* data, UIntPtr size);
        [DllImport(Library)] internal static extern int zb_broadcaster_wait_for_subscribers(IntPtr broadcaster, UIntPtr count, long timeout);
        [DllImport(Library)] internal static extern int zb_broadcaster_stat(IntPtr broadcaster, int key, out ulong value);
        [DllImport(Library)] internal static extern int zb_broadcaster_interrupt(IntPtr broadcaster);
        [DllImport(Library)] internal static extern int zb_broadcaster_subscribers(IntPtr broadcaster, SubscriberFunction function, IntPtr user);
        [DllImport(Library)] internal static extern byte* zb_subscriber_buffer(IntPtr subscriber);
        [DllImport(Library)] internal static extern byte* zb_subscriber_problem(IntPtr subscriber);
        [DllImport(Library)] internal static extern int zb_subscriber_stat(IntPtr subscriber, int key, out ulong value);

        [DllImport(Library)] internal static extern int zb_client_connect(byte[] channel, IntPtr options, out IntPtr client);
        [DllImport(Library)] internal static extern int zb_client_close(IntPtr client);
        [DllImport(Library)] internal static extern int zb_client_send(IntPtr client, byte* data, UIntPtr size, out ulong sequence);
        [DllImport(Library)] internal static extern int zb_client_loan(IntPtr client, UIntPtr size, out byte* data, out ulong sequence);
        [DllImport(Library)] internal static extern int zb_client_commit(IntPtr client, UIntPtr size, out ulong sequence);
        [DllImport(Library)] internal static extern int zb_client_receive(IntPtr client, long timeout, out IntPtr response);
        [DllImport(Library)] internal static extern int zb_client_set_metadata(IntPtr client, byte* data, UIntPtr size);
        [DllImport(Library)] internal static extern int zb_client_has_server(IntPtr client);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int Handler(IntPtr user, IntPtr request, IntPtr responder);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void Init(IntPtr user, byte* data, UIntPtr size);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void Error(IntPtr user, byte* text);

        [DllImport(Library)] internal static extern int zb_server_new(byte[] channel, IntPtr options, out IntPtr server);
        [DllImport(Library)] internal static extern int zb_server_on_error(IntPtr server, Error function, IntPtr user);
        [DllImport(Library)] internal static extern int zb_server_on_init(IntPtr server, Init function, IntPtr user);
        [DllImport(Library)] internal static extern int zb_server_start(IntPtr server, Handler handler, IntPtr user);
        [DllImport(Library)] internal static extern int zb_server_start_editing(IntPtr server, Handler handler, IntPtr user);
        [DllImport(Library)] internal static extern int zb_server_stop(IntPtr server);
        [DllImport(Library)] internal static extern int zb_server_is_running(IntPtr server);
        [DllImport(Library)] internal static extern int zb_server_free(IntPtr server);

        [DllImport(Library)] internal static extern int zb_responder_write(IntPtr responder, byte* data, UIntPtr size);
        [DllImport(Library)] internal static extern int zb_responder_loan(IntPtr responder, UIntPtr size, out byte* data);
        [DllImport(Library)] internal static extern int zb_responder_commit(IntPtr responder, UIntPtr size);
        [DllImport(Library)] internal static extern int zb_responder_abort(IntPtr responder);
        [DllImport(Library)] internal static extern int zb_responder_fail(IntPtr responder, byte[] kind, byte[] message, byte[] detail);
        [DllImport(Library)] internal static extern ulong zb_responder_sequence(IntPtr responder);
    }

    /// <summary>Closes what it stands for when nothing refers to it any more.</summary>
    internal abstract class NativeHandle : SafeHandle
    {
        protected NativeHandle() : base(IntPtr.Zero, true) { }

        public override bool IsInvalid => handle == IntPtr.Zero;

        /// <summary>What calls are given. The native side checks it, so a closed one is an error
        /// there; holding it during each call, as the runtime would, costs more than the call.</summary>
        internal IntPtr Raw => handle;
    }

    internal sealed class ReaderHandle : NativeHandle
    {
        internal ReaderHandle(IntPtr reader) { SetHandle(reader); }

        protected override bool ReleaseHandle() => Native.zb_reader_close(handle) == Native.Ok;
    }

    internal sealed class WriterHandle : NativeHandle
    {
        internal WriterHandle(IntPtr writer) { SetHandle(writer); }

        protected override bool ReleaseHandle() => Native.zb_writer_close(handle) == Native.Ok;
    }

    internal sealed class NewestHandle : NativeHandle
    {
        internal NewestHandle(IntPtr newest) { SetHandle(newest); }

        protected override bool ReleaseHandle() => Native.zb_newest_close(handle) == Native.Ok;
    }

    internal sealed class TapHandle : NativeHandle
    {
        internal TapHandle(IntPtr tap) { SetHandle(tap); }

        protected override bool ReleaseHandle() => Native.zb_tap_close(handle) == Native.Ok;
    }

    internal sealed class BroadcasterHandle : NativeHandle
    {
        internal BroadcasterHandle(IntPtr broadcaster) { SetHandle(broadcaster); }

        protected override bool ReleaseHandle() => Native.zb_broadcaster_close(handle) == Native.Ok;
    }

    internal sealed class ClientHandle : NativeHandle
    {
        internal ClientHandle(IntPtr client) { SetHandle(client); }

        protected override bool ReleaseHandle() => Native.zb_client_close(handle) == Native.Ok;
    }

    /// <summary>Options for one call.</summary>
    internal sealed class Options : IDisposable
    {
        private IntPtr options;

        [MethodImpl(MethodImplOptions.NoInlining)]
        internal Options()
        {
            Errors.Check(Native.zb_options_new(out options), End.Writer);
        }

        internal IntPtr Handle => options;

        /// <summary>What it refuses ends these options.</summary>
        internal Options Set(int key, long value)
        {
            int status = Native.zb_options_set(options, key, value);
            if (status == Native.Ok) return this;
            Exception error = Errors.Of(status, End.Writer);
            Dispose();
            throw error;
        }

        public void Dispose()
        {
            if (options != IntPtr.Zero) Native.zb_options_free(options);
            options = IntPtr.Zero;
        }
    }
}
