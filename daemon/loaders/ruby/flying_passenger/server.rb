# frozen_string_literal: true

require 'socket'
require_relative 'connection'
require_relative 'request_handler'

module FlyingPassenger
  # Takes connections from the daemon, as many at a time as it has threads, until descriptor 0 ends.
  class Server
    # Seconds between two attempts to take a connection without a descriptor left.
    PAUSE = 0.05

    # `owner` ends when the daemon wants the process to end. `no_native` is why native support is not used, or nil.
    def initialize(descriptor, owner, app, threads, no_native)
      @listener = UNIXServer.for_fd(descriptor)
      @listener.close_on_exec = true
      @owner = owner
      @app = app
      @threads = threads
      @no_native = no_native
      @handler = no_native ? RequestHandler : NativeRequestHandler
      install_signal_handlers
    end

    def run(report)
      report.native(@no_native)
      report.ready(@threads)
      return serve if @threads == 1

      @threads.times.map { |number| worker(number + 1) }.each(&:join)
    end

    private

    # An exception that no request can answer for ends the process, as it does without threads.
    def worker(number)
      Thread.new { serve }.tap do |thread|
        thread.name = "worker #{number}"
        thread.report_on_exception = false
        thread.abort_on_exception = true
      end
    end

    def serve
      PhusionPassenger.call_event(:starting_request_handler_thread)
      while (socket = accept)
        connection = greet(socket)
        @handler.new(connection, @app, @threads > 1).serve if connection
      end
    end

    # nil when the daemon has closed the connection before it was taken.
    def greet(socket)
      Connection.new(socket)
    rescue Connection::Lost
      socket.close
      nil
    end

    # The next connection; nil when the daemon wants the process to end.
    def accept
      loop do
        readable, = IO.select([@listener, @owner])
        return nil if readable.include?(@owner)

        socket = take
        return socket if socket.is_a?(UNIXSocket)
      end
    end

    # Without a descriptor left the process ends, but not before the requests of other threads are answered.
    def take
      @listener.accept_nonblock(exception: false)
    rescue Errno::EMFILE, Errno::ENFILE
      raise if RequestHandler::UNDER_WAY.empty?

      sleep(PAUSE)
    end

    def install_signal_handlers
      trap('HUP', 'IGNORE')
      trap('TERM', 'DEFAULT')
      trap('QUIT') { dump_threads }
      PhusionPassenger.call_event(:after_installing_signal_handlers)
    end

    def dump_threads
      Thread.list.each do |thread|
        # A trap handler may not take locks, so this writes past Ruby's buffers.
        text = "Thread #{thread.inspect}:\n    #{(thread.backtrace || []).join("\n    ")}\n\n"
        $stderr.syswrite(text)
      end
    end
  end
end
