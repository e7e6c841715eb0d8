# frozen_string_literal: true

require 'rbconfig'

module FlyingPassenger
  # Asks the kernel for a signal when the parent dies, which Ruby has no method for.
  module ParentDeath
    PR_SET_PDEATHSIG = 1
    # The number of the system call `prctl`.
    PRCTL = { /x86_64/ => 157, /aarch64|arm64|riscv64|loongarch64/ => 167, /ppc64|powerpc64/ => 171,
              /s390x|arm|i[3-6]86/ => 172 }.freeze

    module_function

    # Where it cannot be asked for, a process that is busy when the daemon is killed ends after its request.
    def signal(name)
      _, number = PRCTL.find { |machine, _| machine.match?(RbConfig::CONFIG['host_cpu']) }
      quietly { syscall(number, PR_SET_PDEATHSIG, Signal.list.fetch(name)) } if number
    rescue SystemCallError, NotImplementedError, NoMethodError
      nil
    end

    # Ruby warns of `syscall`, since it would rather have a library loaded.
    def quietly
      verbose = $VERBOSE
      $VERBOSE = nil
      yield
    ensure
      $VERBOSE = verbose
    end
  end
end
