# frozen_string_literal: true

module PhusionPassenger
  module Rack
    # Middleware for garbage collection while no request waits: after a number of requests, or when gctools requests it.
    class OutOfBandGc
      HEADER = '!~Request-OOB-Work'

      # `OutOfBandGc.new(app, frequency, logger = nil)`, or with the options `strategy` (`:counting` or `:gctools_oobgc`),
      # `frequency` and `logger`.
      def initialize(app, options = {}, logger = nil)
        options = { strategy: :counting, frequency: options, logger: logger } unless options.is_a?(Hash)
        @app = app
        @logger = options[:logger]
        @frequency = options[:frequency]
        @requests = 0
        @mutex = Mutex.new
        check(options[:strategy])
        PhusionPassenger.on_event(:oob_work) { work }
      end

      def call(env)
        status, headers, body = @app.call(env)
        headers = headers.merge(HEADER => 'true') if due?
        [status, headers, body]
      end

      private

      def check(strategy)
        case strategy
        when :counting
          return if @frequency.is_a?(Integer) && @frequency.positive?

          raise ArgumentError, ":frequency is #{@frequency.inspect}; it must be a number >= 1"
        when :gctools_oobgc
          raise 'the strategy :gctools_oobgc needs the gem gctools: require "gctools/oobgc"' unless defined?(::GC::OOB)

          @frequency = nil
        else
          raise ArgumentError, ":strategy is #{strategy.inspect}; it must be :counting or :gctools_oobgc"
        end
      end

      def due?
        return ::GC::OOB.dry_run if @frequency.nil?

        @mutex.synchronize { ((@requests += 1) % @frequency).zero? }
      end

      def work
        began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        @frequency.nil? ? ::GC::OOB.run : collect
        @logger&.info("Out Of Band GC finished in #{Process.clock_gettime(Process::CLOCK_MONOTONIC) - began} sec")
      end

      # Also in an app that has switched the collector off.
      def collect
        was_off = GC.enable
        GC.start
        GC.disable if was_off
      end
    end
  end
end
