# What no component may do, and the few things that some may. `systemd-analyze security` of every unit that is made of this
# is held in vm-tests/security.txt.
{lib}: {
  base = {
    NoNewPrivileges = true;
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    UMask = "0027";
    RemoveIPC = true;
    KeyringMode = "private";

    ProtectSystem = "strict";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateDevices = true;
    DevicePolicy = "closed";
    PrivateUsers = true;
    ProtectProc = "invisible";
    ProcSubset = "pid";
    ProtectKernelTunables = true;
    ProtectKernelModules = true;
    ProtectKernelLogs = true;
    ProtectControlGroups = true;
    ProtectClock = true;
    ProtectHostname = true;
    StateDirectoryMode = "0750";

    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = ["@system-service" "~@privileged @resources io_uring_setup io_uring_enter io_uring_register"];
  };

  # For those who stream witness vectors: io_uring with registered buffers, threads bound to processors
  # (`sched_setaffinity` is in @resources), and /proc/meminfo, by which synthesis is admitted.
  streaming = {
    SystemCallFilter = ["@system-service" "~@privileged"];
    LimitMEMLOCK = "infinity";
    ProcSubset = "all";
  };

  # For those who use an NVIDIA GPU: its device nodes and nothing else in /dev. `nvidia` is what newer drivers register,
  # `nvidia-frontend` what older ones do.
  gpu = {
    PrivateDevices = false;
    DeviceAllow = [
      "char-nvidia rw"
      "char-nvidia-frontend rw"
      "char-nvidiactl rw"
      "char-nvidia-uvm rw"
      "char-nvidia-caps rw"
    ];
    BindReadOnlyPaths = ["-/run/opengl-driver"];
  };

  # Later ones win.
  merge = lib.foldl' lib.recursiveUpdate {};
}
