using System;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;

namespace ZeroBuffer
{
    /// <summary>Where the native library is. By default the system finds it by its name.</summary>
    public static class NativeLibraryPath
    {
        /// <summary>A file to be loaded before the first use; or set the environment variable
        /// ZEROBUFFER_NATIVE_LIBRARY.</summary>
        public static string File { get; set; }

        private static IntPtr loaded;

        /// <summary>Zero: the system finds it by its name.</summary>
        internal static IntPtr Loaded => loaded;

        internal static void Load()
        {
            string path = File ?? Environment.GetEnvironmentVariable("ZEROBUFFER_NATIVE_LIBRARY");
            if (string.IsNullOrEmpty(path)) return;
            if (!System.IO.File.Exists(path)) throw new FileNotFoundException("the native library is not there", path);
            loaded = Environment.OSVersion.Platform == PlatformID.Win32NT ? LoadLibrary(path) : dlopen(path, 2);
            if (loaded == IntPtr.Zero) throw new DllNotFoundException("the native library cannot be loaded: " + path);
            // .NET asks whoever says so. Mono and Windows find what is loaded by its own name:
            // ZeroBuffer.dll.config says which that is.
            Type native = Type.GetType("System.Runtime.InteropServices.NativeLibrary, System.Runtime.InteropServices");
            Type resolver = Type.GetType("System.Runtime.InteropServices.DllImportResolver, System.Runtime.InteropServices");
            if (native == null || resolver == null) return;
            MethodInfo resolve = typeof(NativeLibraryPath).GetMethod(nameof(Resolve), BindingFlags.NonPublic | BindingFlags.Static);
            native.GetMethod("SetDllImportResolver").Invoke(
                null, new object[] { typeof(NativeLibraryPath).Assembly, Delegate.CreateDelegate(resolver, resolve) });
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? where) =>
            name == "zerobuffer" ? loaded : IntPtr.Zero;

        [DllImport("libc.so.6")] private static extern IntPtr dlopen(string path, int flags);
        [DllImport("kernel32", CharSet = CharSet.Unicode)] private static extern IntPtr LoadLibrary(string path);
    }
}
