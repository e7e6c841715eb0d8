# frozen_string_literal: true

require 'socket'
require_relative 'parent_death'

module FlyingPassenger
  # Forks a process for each order that comes over the control socket, with the descriptors that come along.
  class ForkServer
    # What a process is handed, in the order of docs/APP-PROTOCOL.md.
    Handed = Struct.new(:owner, :output, :listener, :report, :hello)

    ORDER_LENGTH = 16

    def initialize(descriptor, owner)
      @control = Socket.for_fd(descriptor)
      @control.close_on_exec = true
      @owner = owner
      @daemon = Process.ppid
      @preloader = Process.pid
    end

    # Returns twice: in each forked process with what it was handed, and in the preloader, at its end, with nil.
    def run
      while (handed = order)
        return handed if fork_process(handed)

        close(handed)
      end
    end

    private

    # The next order's descriptors; nil when the daemon wants the preloader to end.
    def order
      readable, = IO.select([@control, @owner])
      return nil if readable.include?(@owner)

      text, _, _, *controls = @control.recvmsg(ORDER_LENGTH, scm_rights: true)
      return nil if text.nil? || text.empty?

      Handed.new(*controls.flat_map(&:unix_rights).map { |io| keep_number(io) })
    end

    # The number alone: who uses the descriptor makes an object of it that fits.
    def keep_number(io)
      io.autoclose = false
      io.fileno
    end

    # True in the new process. It is an orphan, so that it becomes the daemon's child.
    def fork_process(handed)
      middle = Process.fork
      if middle
        Process.wait(middle)
        return false
      end
      become_orphan
      settle(handed)
      true
    rescue SystemCallError => e
      warn("no process can be forked: #{e.message}")
      exit!(1) if Process.pid != @preloader
      false
    end

    def become_orphan
      middle = Process.pid
      exit!(0) if Process.fork
      Process.setsid
      sleep(0.001) while Process.ppid == middle
    end

    # Becomes a process as the daemon would have started it, and shows itself to the daemon.
    def settle(handed)
      ParentDeath.signal('TERM')
      # If the daemon died before the line above, no signal follows.
      exit!(1) if Process.ppid != @daemon
      @control.close
      [STDIN, @owner].each { |io| reopen(io, handed.owner, 'r') }
      [STDOUT, STDERR].each { |io| reopen(io, handed.output, 'w') }
      IO.for_fd(handed.owner).close
      IO.for_fd(handed.output, 'w').close
      say_hello(handed.hello)
    end

    def reopen(standard, descriptor, mode)
      standard.reopen(IO.for_fd(descriptor, mode, autoclose: false))
      standard.sync = true
      standard.close_on_exec = true if standard.fileno > 2
    end

    def say_hello(descriptor)
      socket = Socket.for_fd(descriptor)
      socket.send('hello', 0)
      socket.close
    end

    def close(handed)
      handed.each { |descriptor| IO.for_fd(descriptor).close }
    end
  end
end
