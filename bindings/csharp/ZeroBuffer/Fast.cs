using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ZeroBuffer
{
    /// <summary>What is called for each frame, as internal calls of mono. Its P/Invoke tells the
    /// collector before and after each call that this thread is outside, which costs several times
    /// the call. These say nothing, so they must not wait: time 0, and frames that are soon copied.
    /// What has to wait is called again by P/Invoke. They are compiled with ZEROBUFFER_MONO alone,
    /// since no other runtime has them.</summary>
    internal static unsafe class Fast
    {
        /// <summary>The largest frame that is copied without telling the collector: some
        /// microseconds.</summary>
        internal const int Small = 65536;

#if ZEROBUFFER_MONO
        internal static bool IsThere;

        private const string Runtime = "__Internal";

        /// <summary>After the library was loaded, which mono finds by its name or is told.</summary>
        internal static void Prepare(IntPtr library)
        {
            try
            {
                if (library == IntPtr.Zero) library = dlopen("libzerobuffer.so.2", 2);
                if (library == IntPtr.Zero) return;
                foreach (string name in new[] { "zb_reader_next", "zb_writer_try_write", "zb_frame_release" })
                {
                    IntPtr function = dlsym(library, name);
                    if (function == IntPtr.Zero) return;
                    mono_dangerous_add_raw_internal_call(Native.Text("ZeroBuffer.Fast::" + name), function);
                }
                IsThere = true;
            }
            catch (EntryPointNotFoundException) { } // another mono, or another runtime: P/Invoke alone
            catch (DllNotFoundException) { }
        }

        [DllImport(Runtime)] private static extern void mono_dangerous_add_raw_internal_call(byte[] name, IntPtr function);
        [DllImport("libc.so.6")] private static extern IntPtr dlopen(string path, int flags);
        [DllImport("libc.so.6")] private static extern IntPtr dlsym(IntPtr library, string name);

        [MethodImpl(MethodImplOptions.InternalCall)] internal static extern int zb_reader_next(IntPtr reader, long timeout, IntPtr* frame, byte** data, ulong* size, ulong* sequence);
        [MethodImpl(MethodImplOptions.InternalCall)] internal static extern int zb_writer_try_write(IntPtr writer, byte* data, ulong size, IntPtr sequence);
        [MethodImpl(MethodImplOptions.InternalCall)] internal static extern int zb_frame_release(IntPtr frame);
#endif

        internal static int Next(IntPtr reader, long timeout, IntPtr* frame, byte** data, ulong* size, ulong* sequence)
        {
#if ZEROBUFFER_MONO
            if (IsThere)
            {
                int status = zb_reader_next(reader, 0, frame, data, size, sequence);
                if (status != Native.Timeout || timeout == 0) return status;
            }
#endif
            return Native.zb_reader_next(reader, timeout, frame, data, size, sequence);
        }

        internal static int Write(IntPtr writer, byte* data, int size)
        {
#if ZEROBUFFER_MONO
            if (IsThere && size <= Small)
            {
                int status = zb_writer_try_write(writer, data, (ulong)size, IntPtr.Zero);
                if (status != Native.Full) return status;
            }
#endif
            return Native.zb_writer_write(writer, data, (ulong)size, IntPtr.Zero);
        }

        internal static int Release(IntPtr frame)
        {
#if ZEROBUFFER_MONO
            if (IsThere) return zb_frame_release(frame);
#endif
            return Native.zb_frame_release(frame);
        }
    }
}
