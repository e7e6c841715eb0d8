# frozen_string_literal: true

require_relative 'report'

module FlyingPassenger
  # Finds out how the app wants its libraries set up, and loads its startup file.
  module Application
    module_function

    # Has Bundler, or the app's own set-up, choose the versions of all gems.
    def set_up(settings)
      unless File.file?(settings.startup_file)
        raise Report::Failure, "the app is missing: there is no startup file #{settings.startup_file}"
      end

      preload_bundler if settings.preload_bundler
      set_up_libraries
    end

    # A Rack application, whichever Rack the app brings.
    def load(startup_file)
      require_rack
      evaluate(startup_file)
    end

    # `passenger_preload_bundler`: before the app's own set-up, and where there is no Gemfile, too.
    def preload_bundler
      require 'bundler/setup'
    rescue LoadError => e
      raise missing('Bundler is missing, which passenger_preload_bundler asks for', e)
    end

    # As Passenger does: the app's own set-up first, then Bundler if the app has a Gemfile.
    def set_up_libraries
      if File.exist?('config/setup_load_paths.rb')
        require File.expand_path('config/setup_load_paths')
      elsif File.exist?('.bundle/environment.rb')
        require File.expand_path('.bundle/environment')
      elsif File.exist?('Gemfile') || File.exist?('gems.rb')
        require 'bundler/setup'
      end
    end

    # Rack 2's Lint uses `uri` without loading it; other servers happen to have it.
    def require_rack
      require 'uri'
      require 'rack'
      require 'rack/builder'
    rescue LoadError => e
      raise missing('the app needs the rack library, which is missing', e)
    end

    # Rack 2 returns the app and its options, Rack 3 the app alone.
    def evaluate(startup_file)
      app, = Rack::Builder.parse_file(startup_file)
      app
    rescue LoadError => e
      raise missing("something the app needs is missing: #{e.message}", e)
    rescue SyntaxError => e
      raise missing("the app has a syntax error: #{e.message}", e)
    end

    def missing(summary, error)
      Report::Failure.new(summary, error.full_message(highlight: false, order: :top))
    end
  end
end
